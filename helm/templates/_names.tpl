{{/* The release's name, short enough for what is put behind it; KubeRay takes no more than 47 characters of a RayJob. */}}
{{- define "swarm.name" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .Release.Name) -}}
{{- fail (printf "the release's name %q must begin with a letter and have lower case, digits and - alone, as KubeRay wants it" .Release.Name) -}}
{{- end -}}
{{- .Release.Name | trunc 36 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the one batch run: another config is another run, so that none goes on in the folder of the other. */}}
{{- define "swarm.job" -}}
{{- printf "%s-%s" (include "swarm.name" .) (printf "%s\n%s" (include "swarm.config" .) (include "swarm.arguments" .) | sha256sum | trunc 8) -}}
{{- end -}}

{{- define "swarm.labels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: thousand-token-wood
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The labels that pods are chosen by; takes a list of the root and the component. */}}
{{- define "swarm.selector" -}}
app.kubernetes.io/instance: {{ (first .).Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end -}}

{{- define "swarm.image" -}}
{{- $root := first . -}}
{{- printf "%s:%s" (ternary $root.Values.image.gpu $root.Values.image.cpu (last .)) ($root.Values.image.tag | default $root.Chart.AppVersion) -}}
{{- end -}}

{{/* The run's config. Where the models are served here as well, their address takes the place of this machine's. */}}
{{- define "swarm.config" -}}
{{- $text := .Values.job.configYaml | default (.Files.Get (printf "configs/%s.yaml" .Values.job.config)) -}}
{{- if not $text -}}
{{- fail (printf "job.config: there is no config %q in the chart; give one of its own with --set-file job.configYaml=FILE" .Values.job.config) -}}
{{- end -}}
{{- if .Values.models.enabled -}}
{{- $text = $text | replace "http://127.0.0.1:8000/v1" (printf "http://%s-models-serve-svc:8000/v1" (include "swarm.name" .)) -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/* What `swarm run` is given for its live page, also where it goes on with a run; one argument a line. */}}
{{- define "swarm.live" -}}
{{- if .Values.live.enabled }}
{{- $name := printf "%s-live" (include "swarm.name" .) }}
{{- printf "--live\n--live-at\n0.0.0.0:%d\n--live-for\n%d\n" (int .Values.live.port) (int .Values.live.staySeconds) }}
{{- range concat (list $name (printf "%s.%s" $name .Release.Namespace)) .Values.live.hosts }}
{{- printf "--live-host\n%s\n" . }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* What `swarm run` is given besides the config, one argument a line. */}}
{{- define "swarm.arguments" -}}
{{- /* The metrics stay for two scrapes after the last round, so that Prometheus has seen how it ended. */}}
{{- $linger := mul 2 (int .Values.metrics.podMonitors.intervalSeconds) }}
{{- $metrics := list (printf "runtime.metrics_port=%d" (int .Values.metrics.port)) "runtime.metrics_host=0.0.0.0" (printf "runtime.metrics_linger_s=%d" $linger) }}
{{- range concat $metrics .Values.job.overrides }}
{{- printf "--set\n%s\n" . }}
{{- end -}}
{{- end -}}
