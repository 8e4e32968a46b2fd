{{- define "haldane.image" -}}
{{- $image := .Values.image }}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}
{{- else }}{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* The text of `.file` for this namespace, and with the namespaces that Haldane leaves alone. */}}
{{- define "haldane.manifest" -}}
{{- $reserved := concat (list .Release.Namespace "kube-system") .Values.webhook.excludedNamespaces | uniq }}
{{- .Files.Get (printf "files/%s.yaml" .file)
  | replace "[haldane-system, kube-system]" (printf "[%s]" (join ", " $reserved))
  | replace "['haldane-system', 'kube-system']" (printf "['%s']" (join "', '" $reserved))
  | replace "haldane-system" .Release.Namespace }}
{{- end }}

{{- /* Says "yes" unless a value leaves `.object` out. */}}
{{- define "haldane.is-wanted" -}}
{{- $switches := dict
  "Namespace" .Values.createNamespace
  "ConfigMap" .Values.profiles.enabled
  "FlowSchema" .Values.flowSchemas.enabled
  "NetworkPolicy" .Values.networkPolicy.enabled
  "PodDisruptionBudget" (and .Values.podDisruptionBudget.enabled (gt (int .Values.replicas) 1)) }}
{{- if or (not (hasKey $switches .object.kind)) (get $switches .object.kind) }}yes{{ end }}
{{- end }}

{{- /* Changes `.object` in place, as the values say. */}}
{{- define "haldane.change" -}}
{{- $kind := .object.kind }}
{{- if eq $kind "Deployment" }}
{{- include "haldane.change-deployment" . }}
{{- else if hasSuffix "WebhookConfiguration" $kind }}
{{- include "haldane.change-webhooks" . }}
{{- else if and (eq $kind "Role") .Values.certificate.provided }}
{{- include "haldane.only-read-secrets" . }}
{{- else if and (eq $kind "NetworkPolicy") .Values.networkPolicy.webhookFrom }}
{{- $_ := set (first .object.spec.ingress) "from" .Values.networkPolicy.webhookFrom }}
{{- end }}
{{- end }}

{{- define "haldane.change-deployment" -}}
{{- $values := .Values }}
{{- $pod := .object.spec.template.spec }}
{{- $container := first $pod.containers }}
{{- $_ := set .object.spec "replicas" $values.replicas }}
{{- $_ := set $container "image" (include "haldane.image" .) }}
{{- $_ := set $container "resources" $values.resources }}
{{- with $values.image.pullPolicy }}
{{- $_ := set $container "imagePullPolicy" . }}
{{- end }}
{{- range $field := list "imagePullSecrets" "priorityClassName" "nodeSelector" "tolerations" "affinity" }}
{{- with get $values $field }}
{{- $_ := set $pod $field . }}
{{- end }}
{{- end }}
{{- $settings := $values.settings }}
{{- if $values.certificate.provided }}
{{- $settings = merge (dict "HALDANE_BRING_CERTIFICATE" "true") $settings }}
{{- end }}
{{- range $name, $value := $settings }}
{{- $_ := set $container "env" (append $container.env (dict "name" $name "value" (toString $value))) }}
{{- end }}
{{- end }}

{{- /* Those that would be Ignore anyway stay so. */}}
{{- define "haldane.change-webhooks" -}}
{{- $policy := .Values.webhook.failurePolicy }}
{{- range .object.webhooks }}
{{- if eq .failurePolicy "Fail" }}
{{- $_ := set . "failurePolicy" $policy }}
{{- end }}
{{- end }}
{{- end }}

{{- /* As certs/cert-manager does: the certificate is somebody else's. */}}
{{- define "haldane.only-read-secrets" -}}
{{- $rules := list }}
{{- range .object.rules }}
{{- if not (has "secrets" .resources) }}
{{- $rules = append $rules . }}
{{- else if .resourceNames }}
{{- $rules = append $rules (set . "verbs" (list "get" "list" "watch")) }}
{{- end }}
{{- end }}
{{- $_ := set .object "rules" $rules }}
{{- end }}
