{{/* Kept when the chart goes: with a definition all its objects would go. */}}
{{- define "weir-crds.metadata" -}}
labels:
  app.kubernetes.io/name: weir
  app.kubernetes.io/component: crds
  app.kubernetes.io/part-of: weir
  app.kubernetes.io/instance: {{ .Release.Name }}
  app.kubernetes.io/managed-by: {{ .Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
  {{- with .Values.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  helm.sh/resource-policy: keep
{{- end }}
{{- define "weir-crds.status" -}}
type: object
x-kubernetes-preserve-unknown-fields: true
properties:
  observedGeneration: {type: integer, format: int64}
  conditions:
    type: array
    items:
      type: object
      x-kubernetes-preserve-unknown-fields: true
      properties:
        type: {type: string}
        status: {type: string}
        reason: {type: string}
        message: {type: string}
        observedGeneration: {type: integer, format: int64}
        lastTransitionTime: {type: string, format: date-time}
{{- end }}
{{- define "weir-crds.selector" -}}
type: object
description: Which pods of the namespace it is about; without it, all of them.
properties:
  matchLabels:
    type: object
    maxProperties: 4096
    additionalProperties: {type: string, maxLength: 63}
{{- end }}
{{- define "weir-crds.names" -}}
type: array
maxItems: 4096
items: {type: string, minLength: 1}
{{- end }}
