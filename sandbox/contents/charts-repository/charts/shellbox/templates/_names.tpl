{{/* The service: its namespace without the environment, which the deploy host's general values name. */}}
{{- define "shellbox.service" -}}
{{ .Release.Namespace | trimSuffix (printf "-%s" (.Values.environment | default "unknown")) }}
{{- end -}}

{{- define "shellbox.name" -}}
{{ include "shellbox.service" . }}-{{ .Release.Name }}
{{- end -}}

{{- define "shellbox.selector" -}}
app: {{ include "shellbox.service" . }}
release: {{ .Release.Name }}
{{- end -}}

{{- define "shellbox.labels" -}}
{{ include "shellbox.selector" . }}
chart: {{ .Chart.Name }}
heritage: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
