"""What the author of a port needs: the contract, calls, inputs, tolerances and test vectors."""
