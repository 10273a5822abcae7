"""The parts of tools/bench/peers, the comparison of Ember with llama.cpp and llama2.c."""
