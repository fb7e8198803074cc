# SPDX-License-Identifier: Apache-2.0
"""What PEFT makes of adapters over a base. Standard input: JSON {"base", "adapter", "rows"}; the last
line of standard output: {"probabilities", "plain" (without the adapters), "adapters"} as JSON."""
import json
import sys


def main():
    question = json.load(sys.stdin)
    import torch
    import transformers
    from peft import PeftModel
    torch.set_grad_enabled(False)
    base = transformers.AutoModelForSequenceClassification.from_pretrained(question['base'])
    model = PeftModel.from_pretrained(base, question['adapter']).eval()
    rows = question['rows']

    def column(key):
        return torch.tensor([row[key] for row in rows])

    def ask():
        logits = model(input_ids=column('input_ids'), attention_mask=column('input_mask'),
                       token_type_ids=column('segment_ids')).logits
        return torch.softmax(logits, -1).tolist()

    answer = dict(probabilities=ask(), adapters=sum('lora_A' in name for name, _ in model.named_parameters()))
    with model.disable_adapter():
        answer['plain'] = ask()
    print(json.dumps(answer))


if __name__ == '__main__':
    main()
