"""Text data sets. Hub ids and columns as their pages state them; rows are recognised when they are read."""

from __future__ import annotations

from swift.data.catalog.entry import Entry

ENTRIES = (
    Entry(
        "self-cognition",
        "our own questions about name and maker, English and Chinese",
        file="self_cognition.jsonl",
        placeholders=True,
    ),
    Entry(
        "ms-self-cognition",
        "questions about name and maker, English and Chinese",
        hf="modelscope/self-cognition",
        ms="swift/self-cognition",
        placeholders=True,
    ),
    Entry(
        "alpaca-gpt4-en",
        "52k instructions answered by GPT-4, English",
        hf="vicgalle/alpaca-gpt4",
        ms="AI-ModelScope/alpaca-gpt4-data-en",
    ),
    Entry(
        "alpaca-gpt4-zh",
        "49k instructions answered by GPT-4, Chinese",
        hf="llm-wizard/alpaca-gpt4-data-zh",
        ms="AI-ModelScope/alpaca-gpt4-data-zh",
    ),
    Entry(
        "alpaca-cleaned",
        "52k instructions, cleaned, English",
        hf="yahma/alpaca-cleaned",
        ms="AI-ModelScope/alpaca-cleaned",
    ),
    Entry(
        "dolly-15k",
        "15k instructions written by people, English",
        hf="databricks/databricks-dolly-15k",
        ms="AI-ModelScope/databricks-dolly-15k",
        columns={"context": "input", "response": "output"},
    ),
    Entry(
        "no-robots", "10k instructions written by people, English", hf="HuggingFaceH4/no_robots", ms="swift/no_robots"
    ),
    Entry(
        "ultrachat-200k",
        "200k multi-turn chats, English",
        hf="HuggingFaceH4/ultrachat_200k",
        ms="swift/ultrachat_200k",
        split="train_sft",
    ),
    Entry(
        "openhermes-2.5", "1M instructions and chats, English", hf="teknium/OpenHermes-2.5", ms="swift/OpenHermes-2.5"
    ),
    Entry("openorca", "4M reasoning answers, English", hf="Open-Orca/OpenOrca", ms="AI-ModelScope/OpenOrca"),
    Entry("slimorca", "518k reasoning answers, English", hf="Open-Orca/SlimOrca", ms="swift/SlimOrca"),
    Entry(
        "platypus",
        "25k questions of science and logic, English",
        hf="garage-bAInd/Open-Platypus",
        ms="AI-ModelScope/Open-Platypus",
    ),
    Entry(
        "coig-cqia",
        "48k instructions of high quality, Chinese",
        hf="m-a-p/COIG-CQIA",
        ms="AI-ModelScope/COIG-CQIA",
        subset="all",
    ),
    Entry(
        "magpie-qwen2-zh",
        "200k instructions made by Qwen2, Chinese",
        hf="Magpie-Align/Magpie-Qwen2-Pro-200K-Chinese",
        ms="AI-ModelScope/Magpie-Qwen2-Pro-200K-Chinese",
    ),
    Entry(
        "magpie-qwen2-en",
        "200k instructions made by Qwen2, English",
        hf="Magpie-Align/Magpie-Qwen2-Pro-200K-English",
        ms="AI-ModelScope/Magpie-Qwen2-Pro-200K-English",
    ),
    Entry("smoltalk", "1M chats that SmolLM2 was tuned on, English", hf="HuggingFaceTB/smoltalk", subset="all"),
    Entry("smol-smoltalk", "460k chats for models below 1B parameters, English", hf="HuggingFaceTB/smol-smoltalk"),
    Entry(
        "gsm8k",
        "8k grade-school problems with solutions, English",
        hf="openai/gsm8k",
        ms="modelscope/gsm8k",
        subset="main",
    ),
    Entry(
        "math-instruct",
        "262k mathematical instructions, English",
        hf="TIGER-Lab/MathInstruct",
        ms="AI-ModelScope/MathInstruct",
    ),
    Entry(
        "numina-math-cot",
        "860k competition problems with solutions, English",
        hf="AI-MO/NuminaMath-CoT",
        ms="AI-MO/NuminaMath-CoT",
    ),
    Entry(
        "openthoughts-114k",
        "114k problems with long thinking, English",
        hf="open-thoughts/OpenThoughts-114k",
        ms="open-thoughts/OpenThoughts-114k",
        subset="default",
    ),
    Entry(
        "bespoke-stratos-17k",
        "17k problems with long thinking, English",
        hf="bespokelabs/Bespoke-Stratos-17k",
        ms="bespokelabs/Bespoke-Stratos-17k",
    ),
    Entry(
        "sql-create-context",
        "79k questions to SQL with the table's schema, English",
        hf="b-mc2/sql-create-context",
        ms="AI-ModelScope/sql-create-context",
        columns={"question": "instruction", "context": "input", "answer": "output"},
    ),
    Entry(
        "synthetic-text-to-sql",
        "106k questions to SQL with schema, English",
        hf="gretelai/synthetic_text_to_sql",
        ms="AI-ModelScope/synthetic_text_to_sql",
        columns={"sql_prompt": "instruction", "sql_context": "input", "sql": "output"},
    ),
    Entry("tiny-stories", "2M short stories for pre-training, English", hf="roneneldan/TinyStories"),
    Entry(
        "wikitext-2",
        "Wikipedia articles for pre-training, small, English",
        hf="Salesforce/wikitext",
        subset="wikitext-2-raw-v1",
    ),
    Entry(
        "fineweb-edu-10b",
        "web pages for pre-training, 10 billion tokens, English",
        hf="HuggingFaceFW/fineweb-edu",
        subset="sample-10BT",
    ),
    Entry(
        "wikipedia-en",
        "Wikipedia of November 2023 for pre-training, English",
        hf="wikimedia/wikipedia",
        subset="20231101.en",
    ),
)
