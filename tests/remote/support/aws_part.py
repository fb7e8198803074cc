# SPDX-License-Identifier: Apache-2.0
"""The half of the store over loopback that stands in for the places where jobs get Amazon's
credentials: the token service (STS), a container's address, a machine's metadata (version 2). Each
gives keys that the S3 half (s3_part.py) then takes, until they run out."""

import json
import time
import urllib.parse

SECRETS = ('S3CRET-', 'T0KEN-', 'WEB-1D', 'C0NTAINER', '1MDS')  # what must be seen nowhere


class AwsState:
    def __init__(self):
        self.aws_seconds = 3600  # how long keys hold
        self.aws_given = []  # (place, details) of each set of keys
        self.aws_web_token = 'WEB-1D.token+/='
        self.aws_container_token = 'C0NTAINER token'
        self.aws_fail = None  # a status for all of these places
        self.aws_metadata = 'v2'  # 'v1': no tokens; 'none': no role

    def aws_give(self, place, **details):
        """A fresh set of keys: id, secret, token, and when they run out."""
        self.aws_given.append((place, details))
        n = len(self.aws_given)
        key = 'ASIA%s%d' % (place.upper(), n)
        self.s3_keys[key] = ('S3CRET-%d/+' % n, 'T0KEN-%d/+==' % n)
        self.s3_until[key] = time.time() + self.aws_seconds
        until = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(self.s3_until[key]))
        return (key,) + self.s3_keys[key] + (until,)


class AwsPart:
    """Mixed into the handler. True: the request was one of these."""

    def aws(self, path):
        if self.command == 'POST' and path == '/':
            return self.aws_sts() or True
        if path == '/container/creds':
            return self.aws_container() or True
        if path.startswith('/latest/'):
            return self.aws_machine(path) or True
        return False

    def aws_refuse(self, status, text=b'no'):
        self.answer(self.store.aws_fail or status, text, content_type='text/plain')

    # STS

    def aws_sts(self):
        store = self.store
        form = dict(urllib.parse.parse_qsl(self.body.decode()))
        action = form.get('Action')
        if store.aws_fail:
            return self.sts_error(store.aws_fail, 'InternalFailure', 'away')
        if action == 'AssumeRoleWithWebIdentity':
            if form.get('WebIdentityToken') != store.aws_web_token:
                return self.sts_error(400, 'InvalidIdentityToken',
                                      'not this one: ' + str(form.get('WebIdentityToken')))
            assert self.headers.get('Authorization') is None
        elif action == 'AssumeRole':
            refused = self.signature_refused('sts')
            if refused is not None:
                return self.sts_error(refused.status, refused.code, 'no')
        else:
            return self.sts_error(400, 'InvalidAction', str(action))
        given = store.aws_give('web' if 'Web' in action else 'role',
                               **{k: v for k, v in form.items() if k != 'WebIdentityToken'})
        xml = ('<%sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%sResult>'
               '<AssumedRoleUser><Arn>a</Arn><AssumedRoleId>b:c</AssumedRoleId></AssumedRoleUser>'
               '<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey>'
               '<SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials></%sResult>'
               '</%sResponse>' % ((action, action) + given + (action, action)))
        return self.xml(xml)

    def sts_error(self, status, code, message):
        self.xml('<ErrorResponse xmlns="x"><Error><Type>Sender</Type><Code>%s</Code><Message>%s'
                 '</Message></Error></ErrorResponse>' % (code, message), status)

    # the others

    def aws_json(self, place):
        key, secret, token, until = self.store.aws_give(place)
        self.answer(200, json.dumps({'Code': 'Success', 'AccessKeyId': key, 'SecretAccessKey': secret,
                                     'Token': token, 'Expiration': until, 'Type': 'AWS-HMAC',
                                     'LastUpdated': until}).encode())

    def aws_container(self):
        if self.store.aws_fail or self.headers.get('Authorization') != self.store.aws_container_token:
            return self.aws_refuse(401)
        return self.aws_json('container')

    def aws_machine(self, path):
        store = self.store
        if path == '/latest/api/token':
            if store.aws_fail or store.aws_metadata == 'v1' or self.command != 'PUT' or \
                    not self.headers.get('X-aws-ec2-metadata-token-ttl-seconds'):
                return self.aws_refuse(403)
            return self.answer(200, b'1MDS-token==', content_type='text/plain')
        if self.headers.get('X-aws-ec2-metadata-token') != '1MDS-token==':
            return self.aws_refuse(401)
        start = '/latest/meta-data/iam/security-credentials/'
        if path == start and store.aws_metadata != 'none':
            return self.answer(200, b'the-role', content_type='text/plain')
        if path == start + 'the-role':
            return self.aws_json('machine')
        return self.aws_refuse(404)
