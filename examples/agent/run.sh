#!/bin/sh
# Teach a small model to call tools, and measure it on rows that it has not seen: base, tuned, tuned with loss scale.
# Takes one file of tool conversations and a folder for the results; about a quarter of an hour on 2 cores.
set -eu
data=${1:?a file of tool conversations}
out=${2:-output/agent}
model=${3:-HuggingFaceTB/SmolLM2-135M-Instruct}

# The same options set the same fifth of the rows aside, in training and here.
rows="--dataset $data#250 --split_dataset_ratio 0.2 --data_seed 42 --max_length 1024"
judge="$rows --metric toolbench --max_new_tokens 128 --max_batch_size 8"
train="--num_train_epochs 1 --learning_rate 5e-4 --warmup_ratio 0.05 --lora_rank 16 --lora_alpha 32
    --per_device_train_batch_size 2 --gradient_accumulation_steps 1 --logging_steps 10 --save_steps 1000
    --eval_on_start false"

swift sft --model "$model" $rows $train --output_dir "$out/plain"
swift sft --model "$model" $rows $train --output_dir "$out/scaled" --loss_scale hermes

for run in plain scaled; do
    echo "=== $run"
    swift eval --adapters "$out/$run/last" $judge --output_dir "$out/eval-$run"
done
echo "=== base"
swift eval --model "$model" $judge --output_dir "$out/eval-base"
