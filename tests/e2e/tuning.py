# SPDX-License-Identifier: Apache-2.0
"""What is trained, and how fast, through the program: frozen parts, rates of layers, adapters and
what becomes of them: checkpoints, going on, evaluations, exports."""
import json
import math
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

LORA = "task.model.lora.rank=2,task.model.lora.alpha=4.0,task.model.lora.dropout=0.1"
SHORT = ',trainer.train_steps=6,trainer.steps_per_loop=2,trainer.checkpoint_interval=2,trainer.validation_interval=6'


def read_safetensors(path):
    """{name: (shape, bytes)}"""
    with open(path, 'rb') as source:
        data = source.read()
    n = struct.unpack('<Q', data[:8])[0]
    head = json.loads(data[8:8 + n])
    return {name: (t['shape'], data[8 + n + t['data_offsets'][0]:8 + n + t['data_offsets'][1]])
            for name, t in head.items() if name != '__metadata__'}


class Frozen(e2e.Case):
    def test_a_run_with_frozen_parts(self):
        freeze = "task.model.freeze='embeddings,layers.0'" + SHORT
        result = self.train(model_dir='a', override=freeze + ',trainer.optimizer_config.layer_decay=0.5,'
                            'trainer.optimizer_config.head_multiplier=3')
        self.assertRegex(result.stderr, r'trained are \d+ of \d+ parameters: the others are frozen')
        self.assertIn('layers.1 0.5, head 3', result.stderr)
        first, last = (e2e.trained_values(self.path('a/ckpt-%d' % n)) for n in (2, 6))
        moved = {key for key in first if first[key] != last[key]}
        self.assertTrue(moved)
        for key in first:
            self.assertFalse(key in moved and 'layer_with_weights-0' in key, key)
        slots = {key.split('/.OPTIMIZER_SLOT')[0] for key in first if 'OPTIMIZER_SLOT' in key}
        self.assertTrue(moved and all(
            any(key.startswith(slot) for slot in slots) for key in moved))
        # it goes on with what was trained, and with that alone
        result = self.train(expect=2, model_dir='a', override=SHORT[1:].replace('=6', '=8'))
        self.assertIn('task.model.freeze', self.one_error(result))

    def test_refusals(self):
        for override, want in (
                ('task.model.freeze=layers.2', 'the model has 2 layers, 0 to 1'),
                ("task.model.freeze='encoder,head'", 'nothing is left'),
                ('task.model.freeze=encoder,' + LORA, 'all of the encoder is frozen'),
                ("task.model.lora.targets=[quarry]", "'quarry' is not a kernel of a layer"),
                ('task.model.lora.targets=[]', 'an empty list'),
                ('task.model.lora.rank=64', 'more than the hidden size 32'),
                ('runtime.num_gpus=1,task.model.freeze=encoder', 'on devices everything is trained'),
                ('runtime.num_gpus=1,' + LORA, 'on devices the model itself is trained')):
            result = self.train(expect=2, override=override)
            self.assertIn(want, result.stderr)


class Adapters(e2e.Case):
    def metrics(self, model_dir):
        return [r for r in e2e.read_jsonl(self.path(model_dir)) if r['kind'] == 'validation'][-1]

    def test_train_go_on_and_export(self):
        self.train(model_dir='a', override=LORA + SHORT)
        # stopped and gone on with: the same bits
        self.train(model_dir='b', override=LORA + SHORT.replace('train_steps=6', 'train_steps=2'))
        self.train(model_dir='b', override=LORA + SHORT)
        self.same_values(self.path('a/ckpt-6'), self.path('b/ckpt-6'))
        keys = e2e.trained_values(self.path('a/ckpt-6'))
        self.assertEqual(sum(key.endswith('lora_a/.ATTRIBUTES/VARIABLE_VALUE') for key in keys), 4)
        self.assertFalse([key for key in keys if '_embedding_layer' in key and 'SLOT' in key])
        # without the key the adapters would be passed by
        result = self.train(expect=2, mode='eval', model_dir='a', override='')
        self.assertIn('was trained with task.model.lora a section', self.one_error(result))
        result = self.train(expect=2, model_dir='d', override='task.init_checkpoint=a/ckpt-6')
        self.assertIn('it has adapters (LoRA) of 4 kernels', self.one_error(result))
        result = self.train(expect=2, mode='eval', model_dir='a', override=LORA.replace('4.0', '5.0'))
        self.assertIn('task.model.lora.alpha 4.0', self.one_error(result))
        # merged, the model is what it was
        self.export('a', 'safetensors', 'merged')
        want = self.metrics('a')
        self.train(mode='eval', model_dir='c', override="task.init_checkpoint=merged,task.init_head=true")
        got = self.metrics('c')
        self.assertAlmostEqual(got['validation_loss'], want['validation_loss'], places=5)
        names = read_safetensors(self.path('merged/model.safetensors'))
        self.assertFalse([name for name in names if 'lora' in name])

    def export(self, model_dir, form, out):
        result = e2e.run(self.args(mode='export', model_dir=model_dir, override=LORA,
                                   more=['--export_format=' + form, '--output_path=' + out]),
                         cwd=self.folder)
        self.assertEqual(result.code, 0, str(result))

    def test_peft_and_back(self):
        self.train(model_dir='a', override=LORA + SHORT)
        self.export('a', 'peft', 'adapter')
        tensors = read_safetensors(self.path('adapter/adapter_model.safetensors'))
        self.assertEqual(tensors['base_model.model.bert.encoder.layer.1.attention.self.value.lora_A.weight'][0],
                         [2, 32])
        self.assertEqual(tensors['base_model.model.bert.encoder.layer.0.attention.self.query.lora_B.weight'][0],
                         [32, 2])
        self.assertEqual(len(tensors), 4 * 2 + 4)
        with open(self.path('adapter/adapter_config.json'), encoding='utf-8') as source:
            config = json.load(source)
        self.assertEqual((config['r'], config['lora_alpha'], config['task_type']), (2, 4.0, 'SEQ_CLS'))
        self.assertEqual(config['modules_to_save'], ['classifier', 'pooler'])


    def test_adapters_that_peft_trained(self):
        """The golden folder of tests/make_goldens/make_lora_goldens.py: PEFT's logits."""
        base, adapter = e2e.golden('lora/base'), e2e.golden('lora/adapter')
        with open(e2e.golden('lora/logits.json'), encoding='utf-8') as source:
            golden = json.load(source)
        rows = [dict(input_ids=b['input_word_ids'][i], input_mask=b['input_mask'][i],
                     segment_ids=b['input_type_ids'][i], label_ids=[0])
                for b in golden['batches'] for i in range(3)]
        logits = [row for batch in golden['logits'] for row in batch]
        e2e.write_records(self.path('eval.tf_record'), rows)
        model = e2e.TINY_MODEL
        for old, new in (('hidden_size: 32', 'hidden_size: 8'), ('intermediate_size: 64', 'intermediate_size: 12'),
                         ('max_position_embeddings: 16', 'max_position_embeddings: 10'),
                         ('vocab_size: 100', 'vocab_size: 30')):
            model = model.replace(old, new)
        self.write('model.yaml', model)
        self.write('run.yaml', e2e.TINY_RUN.replace('seq_length: 16', 'seq_length: 8'))
        lora = ('task.model.lora.rank=3,task.model.lora.rslora=true,task.model.lora.alpha=%s,task.model.lora.targets='
                '[query,key,value,attention_output,intermediate,output],task.model.lora.init=' + adapter
                + ',task.init_head=true,task.init_checkpoint=' + base)
        self.train(mode='predict', model_dir='p', override=lora % '5.0', more=['--output_path=out.jsonl'])
        with open(self.path('out.jsonl'), encoding='utf-8') as source:
            lines = [json.loads(line) for line in source]
        self.assertEqual(len(lines), len(logits))
        for line, row in zip(lines, logits):
            exps = [math.exp(x - max(row)) for x in row]
            for c, x in enumerate(exps):
                self.assertAlmostEqual(line['probabilities'][str(c)], x / sum(exps), places=5)
        result = self.train(expect=2, mode='predict', model_dir='p', override=lora % '6.0')
        self.assertIn('set task.model.lora as its adapter_config.json', self.one_error(result))
        result = self.train(expect=2, mode='predict', model_dir='p',
                            override=(lora % '5.0').replace('key,', ''))
        self.assertIn('it has adapters (LoRA) of 12 kernels, of which the model has 10', self.one_error(result))


if __name__ == '__main__':
    e2e.main()
