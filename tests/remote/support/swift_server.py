# SPDX-License-Identifier: Apache-2.0
"""OpenStack Swift (from PyPI) with its S3 interface, whole in one process: proxy, account, container and
object server with a single disk, a folder. Checks signatures, the payload's hash and Content-MD5.
usage: swift_server.py FOLDER PORT   (Swift in PYTHONPATH; the key is "test:tester", the secret "testing")
Exit 4: the folder's file system keeps no extended attributes, which Swift needs."""
import os
import sys

FOLDER, PORT = os.path.abspath(sys.argv[1]), int(sys.argv[2])

os.makedirs(FOLDER + '/devices/d', exist_ok=True)
try:
    os.setxattr(FOLDER + '/devices', 'user.test', b'x' * 100)
except OSError as problem:
    sys.stderr.write('swift_server: error: no extended attributes in %s: %s\n' % (FOLDER, problem))
    sys.exit(4)

import eventlet  # noqa: E402
import eventlet.wsgi  # noqa: E402
eventlet.monkey_patch()
from swift.common import utils  # noqa: E402
utils.SWIFT_CONF_FILE = FOLDER + '/swift.conf'
utils.HASH_PATH_PREFIX, utils.HASH_PATH_SUFFIX = b'a', b'b'
from swift.common import storage_policy, wsgi  # noqa: E402
from swift.common.http_protocol import SwiftHttpProtocol  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402

COMMON = """[DEFAULT]
swift_dir = %s
devices = %s/devices
mount_check = false
recon_cache_path = %s
log_level = CRITICAL
fallocate_reserve = 0
disable_fallocate = true
""" % (FOLDER, FOLDER, FOLDER)

STORAGE = COMMON + """[pipeline:main]
pipeline = %s-server
[app:%s-server]
use = egg:swift#%s
"""

PROXY = COMMON + """[pipeline:main]
pipeline = catch_errors gatekeeper s3api tempauth bulk slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
node_timeout = 60
conn_timeout = 5
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
min_segment_size = 5242880
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


def write(name, text):
    with open(os.path.join(FOLDER, name), 'w', encoding='utf-8') as out:
        out.write(text)
    return os.path.join(FOLDER, name)


def make_ring(name, port):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({'id': 0, 'region': 1, 'zone': 1, 'weight': 1.0, 'ip': '127.0.0.1', 'port': port,
                     'device': 'd', 'replication_ip': '127.0.0.1', 'replication_port': port,
                     'meta': ''})
    builder.rebalance()
    builder.get_ring().save('%s/%s.ring.gz' % (FOLDER, name))


def serve(conf, socket):
    app = wsgi.loadapp(conf, global_conf={'log_name': 'swift'})
    eventlet.spawn(eventlet.wsgi.server, socket, app, open(os.devnull, 'w', encoding='utf-8'),
                   protocol=SwiftHttpProtocol, capitalize_response_headers=False)


def main():
    storage_policy.reload_storage_policies()
    sockets = {}
    for name in ('account', 'container', 'object'):
        sockets[name] = eventlet.listen(('127.0.0.1', 0))
        make_ring(name, sockets[name].getsockname()[1])
    for name, socket in sockets.items():
        serve(write(name + '.conf', STORAGE % (name, name, name)), socket)
    serve(write('proxy.conf', PROXY), eventlet.listen(('127.0.0.1', PORT)))
    print('ready', flush=True)
    while True:
        eventlet.sleep(3600)


if __name__ == '__main__':
    main()
