//go:build tools

// Package tools pins helmfile, whose dependencies do not fit beside Kubernetes' own.
package tools

import _ "github.com/helmfile/helmfile"
