"""From the stream to S3: the Lambda pre-processor, one self-contained file, and the stack around it."""
