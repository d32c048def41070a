{{/* The service: its namespace without the environment, which the deploy host's general values name. */}}
{{- define "app.service" -}}
{{ .Release.Namespace | trimSuffix (printf "-%s" (.Values.environment | default "unknown")) }}
{{- end -}}

{{- define "app.name" -}}
{{ include "app.service" . }}-{{ .Release.Name }}
{{- end -}}

{{- define "app.selector" -}}
app: {{ include "app.service" . }}
release: {{ .Release.Name }}
{{- end -}}

{{- define "app.labels" -}}
{{ include "app.selector" . }}
chart: {{ .Chart.Name }}
heritage: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
