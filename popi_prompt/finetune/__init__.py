"""Fine-tuning the inference model through providers: training files, and jobs."""
