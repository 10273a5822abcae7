"""What tools/bench/quality is made of; peerslib holds what it shares with tools/bench/peers."""
