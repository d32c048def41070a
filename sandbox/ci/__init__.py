"""The stand-in for Zuul and PipelineBot."""
