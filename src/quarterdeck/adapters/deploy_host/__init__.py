"""The deploy host: jobs by SSH, and what helmfile, helm and kubectl say there."""
