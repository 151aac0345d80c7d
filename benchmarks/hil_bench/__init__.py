"""HIL-Bench: methods with a person in the loop on common tasks, at equal cost of the person."""
