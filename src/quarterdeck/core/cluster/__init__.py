"""Reads what helmfile, helm and kubectl show, and has the commands that they are asked by."""
