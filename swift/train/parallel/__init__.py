"""Several processes train one model, each with a copy of it and a share of every step's micro-batches.

There is no wrapper around the model. Objectives return sums, so a gradient over several processes is a sum as well:
each process divides its losses by the count over all of them, and after the last backward pass the gradients are
added up. Every process then holds the same gradient, clips it by the same norm and takes the same step.

| module | |
|---|---|
| `place` | which process of how many this is; plain numbers |
| `processes` | `Parallel`, what the loop sees; alone it does nothing |
| `group` | the connection to the others, over `torch.distributed` |
| `gradients` | adding gradients up |
| `start` | joining, the device of a process, and whether all begin with the same model |
| `ending` | one process tells what went wrong, and all end |
"""
