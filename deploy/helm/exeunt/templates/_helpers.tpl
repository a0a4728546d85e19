{{- define "exeunt.name" -}}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{- end }}
{{- define "exeunt.selector" -}}
app.kubernetes.io/name: exeunt
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "exeunt.labels" -}}
{{ include "exeunt.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "exeunt.host" -}}{{ (urlParse (required "url is not set: name the address that browsers use, like https://id.example.com" .Values.url)).host }}{{- end }}
