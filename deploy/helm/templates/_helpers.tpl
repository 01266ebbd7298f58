{{- define "antiphon.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "antiphon.labels" -}}
app.kubernetes.io/name: antiphon
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Of pods. Call with a dict: root, and component. */}}
{{- define "antiphon.selector" -}}
app.kubernetes.io/name: antiphon
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Fields of each pod. Call with a dict: root. */}}
{{- define "antiphon.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: { sizeLimit: 1Gi }
  - name: data
    {{- if .root.Values.storage.enabled }}
    persistentVolumeClaim: { claimName: {{ .root.Values.storage.existingClaim | default (printf "%s-files" .root.Release.Name) }} }
    {{- else }}
    emptyDir: {}
    {{- end }}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        - secret: { name: {{ .root.Values.secret }} }
        {{- if and .models .root.Values.modelSecret }}
        - secret: { name: {{ .root.Values.modelSecret }} }
        {{- end }}
{{- end }}

{{/* Fields of each container. Call with a dict: root. */}}
{{- define "antiphon.container" -}}
image: {{ include "antiphon.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
volumeMounts:
  - { name: tmp, mountPath: /tmp }
  - { name: data, mountPath: /data }
  - { name: secrets, mountPath: /run/secrets/antiphon, readOnly: true }
{{- end }}

{{/* Variables of each container. Secrets are files that the program reads itself. */}}
{{- define "antiphon.env" -}}
- { name: CREDENTIALS_DIRECTORY, value: /run/secrets/antiphon }
- { name: ALLOWED_HOSTS, value: {{ .root.Values.host | quote }} }
- { name: ALLOWED_ORIGINS, value: {{ printf "https://%s" .root.Values.host | quote }} }
- { name: METRICS_HOST, value: "0.0.0.0" }
{{- range $name, $value := .root.Values.settings }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}
