"""The Hadoop bundle: self-contained scripts that travel to a cluster, and the steps that run them."""
