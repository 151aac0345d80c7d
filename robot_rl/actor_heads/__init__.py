"""Actor heads: the exchangeable ways of turning features into the arm's part of an action. One file each."""
