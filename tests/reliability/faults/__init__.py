"""The fault campaign (`make faults`): a running study is killed and spoilt in every way we know, and must not mind."""
