"""For authors of ports: the contract, its checks, their inputs and tolerances, test vectors."""
