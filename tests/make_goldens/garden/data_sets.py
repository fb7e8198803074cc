# SPDX-License-Identifier: Apache-2.0
"""Prepares TFDS data sets (glue/*, super_glue/*) from local raw files by the
real TFDS builders; only the downloads are replaced by the local folder.

usage: data_sets.py RAW_DIR TFDS_DATA_DIR name...      (name: glue/cola, ...)
RAW_DIR holds CoLA/ SST-2/ MRPC/ QQP/ STS-B/ MNLI/ QNLI/ RTE/ WNLI/ AX/ BoolQ/ CB/ ...
"""

import os, sys

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import gcs_utils

gcs_utils.is_dataset_on_gcs = lambda name: False
gcs_utils.gcs_dataset_info_files = lambda n: None
tfds.core.utils.gcs_utils._is_gcs_disabled = True
raw, out = sys.argv[1:3]
DM = tfds.download.DownloadManager
DM.download_and_extract = lambda self, url: raw


def dl(self, what):
    if isinstance(what, dict):
        return {
            'dev_ids': os.path.join(raw, 'MRPC', 'mrpc_dev_ids.tsv'),
            'train': os.path.join(raw, 'MRPC', 'msr_paraphrase_train.txt'),
            'test': os.path.join(raw, 'MRPC', 'msr_paraphrase_test.txt'),
        }
    return os.path.join(raw, 'AX', 'AX.tsv')


DM.download = dl
for name in sys.argv[3:]:
    b = tfds.builder(name, data_dir=out)
    cfg = tfds.download.DownloadConfig(verify_ssl=False, try_download_gcs=False)
    b.download_and_prepare(download_config=cfg)
    print(name, {k: v.num_examples for k, v in b.info.splits.items()}, flush=True)
