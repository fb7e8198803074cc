/* SPDX-License-Identifier: Apache-2.0
 *
 * The experiments that can be built, and the names that Model Garden's train.py knows besides:
 * these are recognised, so that the answer is "not BERT", not "no such name". */
#include "conf_schema.h"

#include <string.h>

#include "bt/conf.h"

const conf_experiment_def conf_experiments[] = {
#define ROW(name, doc, task, train, validation, defaults, is_ours)                                 \
    {name,     doc,    &conf_class_##task, &conf_class_##train, &conf_class_##validation,          \
     defaults, is_ours},
#define EXPERIMENT(name, doc, task, train, validation, defaults)                                   \
    ROW(name, doc, task, train, validation, defaults, false)
#define OUR_EXPERIMENT(name, doc, task, train, validation, defaults)                               \
    ROW(name, doc, task, train, validation, defaults, true)
#include "conf_experiment_list.def"
};
const size_t conf_n_experiments = BT_ARRAY_LEN(conf_experiments);

/* Names of one kind, separated by spaces, and the kind. */
static const struct {
    const char *names;
    const char *kind;
} elsewhere[] = {
    {" wmt_transformer/large ", "a translation experiment"},
    {" mock ", "a test of Model Garden itself"},
    {" image_classification resnet_imagenet resnet_rs_imagenet revnet_imagenet mobilenet_imagenet"
     " deit_imagenet_pretrain vit_imagenet_pretrain vit_imagenet_finetune ",
     "an image classification experiment"},
    {" fasterrcnn_resnetfpn_coco maskrcnn_resnetfpn_coco maskrcnn_spinenet_coco"
     " cascadercnn_spinenet_coco maskrcnn_mobilenet_coco retinanet retinanet_resnetfpn_coco"
     " retinanet_spinenet_coco retinanet_mobile_coco ",
     "an object detection experiment"},
    {" semantic_segmentation seg_deeplabv3_pascal seg_deeplabv3plus_pascal seg_resnetfpn_pascal"
     " mnv2_deeplabv3_pascal seg_deeplabv3plus_cityscapes mnv2_deeplabv3_cityscapes"
     " mnv2_deeplabv3plus_cityscapes ",
     "an image segmentation experiment"},
    {" video_classification video_classification_ucf101 video_classification_kinetics400"
     " video_classification_kinetics600 video_classification_kinetics700"
     " video_classification_kinetics700_2020 ",
     "a video classification experiment"},
};

const conf_experiment_def *conf_experiment_find(const char *name) {
    for (size_t i = 0; i < conf_n_experiments; i++) {
        if (strcmp(conf_experiments[i].name, name) == 0) {
            return &conf_experiments[i];
        }
    }
    return NULL;
}

const char *conf_experiment_refusal(const char *name) {
    const size_t len = strlen(name);
    if (len == 0 || strchr(name, ' ') != NULL) {
        return NULL;
    }
    for (size_t i = 0; i < BT_ARRAY_LEN(elsewhere); i++) {
        for (const char *at = strstr(elsewhere[i].names, name); at != NULL;
             at = strstr(at + 1, name)) {
            if (at[-1] == ' ' && at[len] == ' ') {
                return elsewhere[i].kind;
            }
        }
    }
    return NULL;
}

size_t bt_conf_n_experiments(void) {
    return conf_n_experiments;
}

const bt_conf_experiment *bt_conf_experiment_at(size_t index) {
    static const bt_conf_experiment listing[] = {
#define EXPERIMENT(name, doc, task, train, validation, defaults) {name, doc},
#define OUR_EXPERIMENT EXPERIMENT
#include "conf_experiment_list.def"
    };
    return index < BT_ARRAY_LEN(listing) ? &listing[index] : NULL;
}
