"""The parts of tools/bench/memory, which measures Ember and llama.cpp inside memory limits."""
