{{- define "weir.selector" -}}
app.kubernetes.io/name: weir
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{/* Labels of an object: (dict "root" $ "component" NAME "labels" MAP). */}}
{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/part-of: weir
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with .labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of a pod: as above, but what changes with a version would start it anew. */}}
{{- define "weir.podLabels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/part-of: weir
app: {{ printf "weir-%s" .component }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with .labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "weir.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{- define "weir.identity" -}}
spiffe://{{ .root.Values.trustDomain }}/ns/{{ .root.Release.Namespace }}/sa/weir-{{ .component }}
{{- end }}

{{/* Services are reached by the addresses that the kubelet writes into the environment: no DNS is needed. */}}
{{- define "weir.controllerAddress" -}}
"[$(WEIR_CONTROLLER_SERVICE_HOST)]:15012"
{{- end }}
{{- define "weir.caAddress" -}}
"[$(WEIR_CA_SERVICE_HOST)]:15013"
{{- end }}

{{- define "weir.seccompFile" -}}
{{ .Values.seccompProfile.localhostProfile | default (printf "weir-%s.json" .Chart.Version) }}
{{- end }}
{{- define "weir.seccomp" -}}
seccompProfile:
  type: {{ .Values.seccompProfile.type }}
  {{- if eq .Values.seccompProfile.type "Localhost" }}
  localhostProfile: {{ include "weir.seccompFile" . }}
  {{- end }}
{{- end }}

{{/* What a container may that needs nothing. */}}
{{- define "weir.unprivileged" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where a pod of a component goes: (dict "root" $ "values" .Values.COMPONENT). */}}
{{- define "weir.placement" -}}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "weir.tokenVolume" -}}
- name: token
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          audience: {{ .Values.token.audience }}
          expirationSeconds: {{ .Values.token.expirationSeconds }}
          path: token
{{- end }}
{{/* The roots, as the CA has written them into this namespace; until then the pod waits. */}}
{{- define "weir.rootsVolume" -}}
- name: roots
  configMap:
    name: {{ .Values.ca.rootConfigMap }}
    defaultMode: 0444
    items:
      - key: root-cert.pem
        path: root-cert.pem
{{- end }}
{{- define "weir.identityMounts" -}}
- name: token
  mountPath: /var/run/secrets/weir
  readOnly: true
- name: roots
  mountPath: /etc/weir
  readOnly: true
{{- end }}

{{- define "weir.extraArgs" -}}
{{- range . }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- define "weir.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: weir-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "weir.labels" . | nindent 4 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "weir.pdbVersion" -}}
{{ if .Capabilities.APIVersions.Has "policy/v1/PodDisruptionBudget" }}policy/v1{{ else if semverCompare ">=1.21.0-0" .Capabilities.KubeVersion.Version }}policy/v1{{ else }}policy/v1beta1{{ end }}
{{- end }}
