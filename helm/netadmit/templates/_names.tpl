{{- define "netadmit.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- define "netadmit.fullname" -}}
{{- $name := include "netadmit.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "netadmit.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "netadmit.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "netadmit.secretName" -}}
{{- if eq .Values.certificates.source "secret" }}
{{- .Values.certificates.secretName }}
{{- else }}
{{- printf "%s-tls" (include "netadmit.fullname" .) }}
{{- end }}
{{- end }}

{{- define "netadmit.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "netadmit.selectorLabels" -}}
app.kubernetes.io/name: {{ include "netadmit.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "netadmit.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "netadmit.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* What the restricted Pod Security Standard asks for, and a little more. */ -}}
{{- define "netadmit.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "netadmit.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* The kinds that are watched, as JSON: the words of netadmit's configuration, however they are written. */ -}}
{{- define "netadmit.watchKinds" -}}
{{- $spellings := dict "workloads" (list "Deployment" "StatefulSet" "DaemonSet") }}
{{- range list (list "Namespace" "ns" "") (list "Deployment" "deploy" "apps") (list "StatefulSet" "sts" "apps") (list "DaemonSet" "ds" "apps") }}
{{- $kind := index . 0 }}
{{- $word := lower $kind }}
{{- $names := list $word (printf "%ss" $word) (index . 1) (printf "v1/%s" $word) }}
{{- with index . 2 }}
{{- $names = concat $names (list (printf "%s/v1/%s" . $word) (printf "%s/%s" . $word) (printf "%ss.%s" $word .) (printf "%ss.v1.%s" $word .)) }}
{{- end }}
{{- range $names }}
{{- $_ := set $spellings . (list $kind) }}
{{- end }}
{{- end }}
{{- $found := list }}
{{- range concat (default list .Values.config.watchKinds) (default list .Values.webhook.watchKinds) (default list .Values.watchKinds) }}
{{- if not (hasKey $spellings (lower .)) }}
{{- fail (printf "watchKinds: %q cannot be watched; these can: Namespace, Deployment, StatefulSet, DaemonSet, workloads" .) }}
{{- end }}
{{- $found = concat $found (get $spellings (lower .)) }}
{{- end }}
{{- $found | uniq | toJson }}
{{- end }}

{{- /* netadmit's configuration, whole. */ -}}
{{- define "netadmit.config" -}}
{{- $config := merge (dict "apiVersion" "netadmit.io/v1" "kind" "Config") .Values.config }}
{{- with include "netadmit.watchKinds" . | fromJsonArray }}
{{- $_ := set $config "watchKinds" . }}
{{- end }}
{{- toYaml $config }}
{{- end }}
