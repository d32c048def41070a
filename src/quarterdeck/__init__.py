"""Quarterdeck: a ChatOps deploy bot for services that ship through Gerrit, helmfile and Kubernetes."""
