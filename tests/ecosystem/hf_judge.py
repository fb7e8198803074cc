# SPDX-License-Identifier: Apache-2.0
"""What transformers and sentence-transformers make of a folder. Standard input: JSON {"folder", "what",
...}; the last line of standard output: the answer as JSON."""
import json
import sys
import warnings

QUESTION = json.load(sys.stdin)
FOLDER = QUESTION['folder']


def load(name):
    import torch
    import transformers
    torch.set_grad_enabled(False)
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER)
    model, info = getattr(transformers, name).from_pretrained(FOLDER, output_loading_info=True)
    model.eval()
    odd = {key: sorted(map(str, value)) for key, value in info.items() if value}
    return tokenizer, model, {'odd': odd, 'class': type(model).__name__, 'tokenizer': type(tokenizer).__name__}


def classify():
    tokenizer, model, answer = load('AutoModelForSequenceClassification')
    answer['logits'] = []
    for texts in QUESTION['texts']:
        tokens = tokenizer(*texts, truncation=True, return_tensors='pt')
        answer['logits'].append(model(**tokens).logits[0].tolist())
    answer['labels'] = [model.config.id2label[i] for i in range(model.config.num_labels)]
    answer['problem_type'] = model.config.problem_type
    return answer


def tag():
    """Logits of each word's first token."""
    tokenizer, model, answer = load('AutoModelForTokenClassification')
    answer['logits'] = []
    for words in QUESTION['sentences']:
        tokens = tokenizer(words, is_split_into_words=True, truncation=True, return_tensors='pt')
        logits, before = model(**tokens).logits[0], None
        for i, word in enumerate(tokens.word_ids()):
            if word is not None and word != before:
                answer['logits'].append(logits[i].tolist())
            before = word
    answer['labels'] = [model.config.id2label[i] for i in range(model.config.num_labels)]
    return answer


def answer_questions():
    """Scores of each token of the context, and where it stands in it."""
    tokenizer, model, answer = load('AutoModelForQuestionAnswering')
    answer['rows'] = []
    for question, context in QUESTION['questions']:
        tokens = tokenizer(question, context, return_tensors='pt', return_offsets_mapping=True)
        offsets = tokens.pop('offset_mapping')[0].tolist()
        output = model(**tokens)
        answer['rows'].append([
            dict(start=offsets[i][0], end=offsets[i][1], start_logit=output.start_logits[0][i].item(),
                 end_logit=output.end_logits[0][i].item())
            for i, sequence in enumerate(tokens.sequence_ids()) if sequence == 1])
    return answer


def encode():
    tokenizer, model, answer = load('AutoModel')
    answer['pooled'] = [model(**tokenizer(text, truncation=True, return_tensors='pt')).pooler_output[0].tolist()
                        for text in QUESTION['texts']]
    return answer


def vectors():
    from sentence_transformers import SentenceTransformer
    model = SentenceTransformer(FOLDER)
    return {'vectors': model.encode(QUESTION['texts']).tolist(), 'modules': [type(m).__name__ for m in model],
            'max_seq_length': model.max_seq_length, 'similarity': str(model.similarity_fn_name)}


def ids():
    """By transformers, and by tokenizers alone."""
    import tokenizers
    import transformers
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER)
    alone = tokenizers.Tokenizer.from_file(FOLDER + '/tokenizer.json')
    alone.no_truncation()
    alone.no_padding()
    return {'ids': [tokenizer(text, truncation=False)['input_ids'] for text in QUESTION['texts']],
            'alone': [alone.encode(text).ids for text in QUESTION['texts']],
            'types': tokenizer('a', 'b')['token_type_ids'], 'limit': tokenizer.model_max_length}


def card():
    import huggingface_hub
    made = huggingface_hub.ModelCard.load(FOLDER + '/README.md')
    data = made.data.to_dict()
    data.pop('model-index', None)
    return {'data': data, 'results': [[r.metric_type, r.metric_value] for r in made.data.eval_results or []]}


with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter('always')
    ANSWER = globals()[QUESTION['what']]()
    ANSWER['warnings'] = [str(w.message) for w in heard if 'newly' in str(w.message)]
print()
print(json.dumps(ANSWER))
