{{/* The name that all others begin with: of the release, and of the chart unless the release says it. */}}
{{- define "postern.name" -}}
{{- if contains "postern" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-postern" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that Deployments and Services choose pods by. Called with the context and the component. */}}
{{- define "postern.selector" -}}
app.kubernetes.io/name: postern
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "postern.labels" -}}
{{ include "postern.selector" . }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version }}
{{- end -}}

{{- define "postern.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* The ValidatingWebhookConfiguration is the one thing outside of the namespace, so the namespace is in its name. */}}
{{- define "postern.webhookConfiguration" -}}
{{ include "postern.name" . }}-webhook-{{ .Release.Namespace }}
{{- end -}}

{{- define "postern.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "postern.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The listener for a first message: `smtp` or the first by name, but none that begins with TLS. */}}
{{- define "postern.plainListener" -}}
{{- $plain := list -}}
{{- range $name, $listener := .Values.listeners -}}
{{- if not (dig "tls" "implicit" false ($listener.spec | default dict)) -}}
{{- $plain = append $plain $name -}}
{{- end -}}
{{- end -}}
{{- $plain = $plain | default (keys .Values.listeners) | sortAlpha -}}
{{- has "smtp" $plain | ternary "smtp" (first $plain) -}}
{{- end -}}
