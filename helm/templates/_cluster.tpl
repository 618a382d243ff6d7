{{/* The two contexts that every pod and every container of this chart has: the restricted level of Pod Security. */}}
{{- define "swarm.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "swarm.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Requests that equal limits, so that what Ray counts on is there; takes resources and, if any, gpus. */}}
{{- define "swarm.resources" -}}
{{- $amounts := dict "cpu" .resources.cpu "memory" .resources.memory -}}
{{- if .gpus }}{{ $_ := set $amounts "nvidia.com/gpu" .gpus }}{{ end -}}
{{- dict "limits" $amounts "requests" $amounts | toYaml -}}
{{- end -}}

{{/* The environment of every container of Ray. */}}
{{- define "swarm.environment" -}}
- {name: HOME, value: /home/ray}
- {name: HF_HOME, value: /home/ray/hub}
- {name: RAY_USAGE_STATS_ENABLED, value: "0"}
{{- if .Values.models.enabled }}
- name: SWARM_API_KEY
  valueFrom: {secretKeyRef: {name: {{ .Values.models.apiKeySecret }}, key: SWARM_API_KEY}}
{{- end }}
{{- with .Values.models.hubTokenSecret }}
- name: HF_TOKEN
  valueFrom: {secretKeyRef: {name: {{ . }}, key: HF_TOKEN}}
{{- end }}
{{- end -}}

{{/* A whole RayClusterSpec; takes root and component, which is job, cluster or models. */}}
{{- define "swarm.clusterSpec" -}}
{{- $root := .root -}}
{{- $component := .component -}}
{{- $hasRuns := ne $component "models" -}}
rayVersion: {{ $root.Values.rayVersion | quote }}
authOptions:
  mode: token
  {{- with $root.Values.auth.tokenSecret }}
  secretName: {{ . }}
  {{- end }}
enableInTreeAutoscaling: true
autoscalerOptions:
  version: v2
  upscalingMode: Default
  idleTimeoutSeconds: {{ $root.Values.autoscaler.idleTimeoutSeconds }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  securityContext: {{- include "swarm.containerSecurity" $root | nindent 4 }}
  resources: {{- include "swarm.resources" $root.Values.autoscaler | nindent 4 }}
  env:
    - {name: HOME, value: /home/ray}
  volumeMounts:
    # The one container that talks to the Kubernetes API, and the only one that is given a token for it.
    - {name: kube-api, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
    - {name: home, mountPath: /home/ray, subPath: autoscaler}
    - {name: scratch, mountPath: /tmp}
headGroupSpec:
  serviceType: ClusterIP
  rayStartParams:
    num-cpus: "0"
    num-gpus: "0"
  template:
    metadata:
      labels: {{- include "swarm.selector" (list $root $component) | nindent 8 }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      securityContext: {{- include "swarm.podSecurity" $root | nindent 8 }}
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets: {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      {{- with $root.Values.head.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.head.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: ray-head
          image: {{ include "swarm.image" (list $root false) }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          securityContext: {{- include "swarm.containerSecurity" $root | nindent 12 }}
          resources: {{- include "swarm.resources" $root.Values.head | nindent 12 }}
          env:
            {{- include "swarm.environment" $root | nindent 12 }}
            {{- if and $root.Values.live.enabled (eq $component "job") }}
            # The driver is here, and nothing on a worker needs it.
            - name: SWARM_LIVE_TOKEN
              valueFrom: {secretKeyRef: {name: {{ $root.Values.live.tokenSecret }}, key: SWARM_LIVE_TOKEN}}
            {{- end }}
          ports:
            - {name: gcs-server, containerPort: 6379}
            - {name: dashboard, containerPort: 8265}
            - {name: client, containerPort: 10001}
            - {name: metrics, containerPort: 8080}
            - {name: as-metrics, containerPort: 44217}
            - {name: dash-metrics, containerPort: 44227}
            {{- if $hasRuns }}
            - {name: swarm-metrics, containerPort: {{ int $root.Values.metrics.port }}}
            {{- if and $root.Values.live.enabled (eq $component "job") }}
            - {name: swarm-live, containerPort: {{ int $root.Values.live.port }}}
            {{- end }}
            {{- else }}
            - {name: serve, containerPort: 8000}
            {{- end }}
          volumeMounts:
            - {name: home, mountPath: /home/ray}
            - {name: scratch, mountPath: /tmp}
            {{- if $hasRuns }}
            - {name: runs, mountPath: /runs}
            - {name: configs, mountPath: /etc/swarm, readOnly: true}
            {{- end }}
      volumes:
        - {name: home, emptyDir: {sizeLimit: 2Gi}}
        - {name: scratch, emptyDir: {sizeLimit: {{ $root.Values.scratch.size }}}}
        - name: kube-api
          projected:
            sources:
              - serviceAccountToken: {path: token, expirationSeconds: 3600}
              - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
        {{- if $hasRuns }}
        - name: runs
          persistentVolumeClaim: {claimName: {{ $root.Values.storage.existingClaim | default (printf "%s-%s-runs" (include "swarm.name" $root) $component) }}}
        - {name: configs, configMap: {name: {{ include "swarm.name" $root }}-configs}}
        {{- end }}
workerGroupSpecs:
{{- range $group := $root.Values.workers }}
  {{- if gt (int $group.minReplicas) (int $group.maxReplicas) }}
  {{- fail (printf "workers: group %s has minReplicas %d above maxReplicas %d" $group.name (int $group.minReplicas) (int $group.maxReplicas)) }}
  {{- end }}
  - groupName: {{ $group.name }}
    replicas: {{ $group.minReplicas }}
    minReplicas: {{ $group.minReplicas }}
    maxReplicas: {{ $group.maxReplicas }}
    rayStartParams: {}
    {{- with $group.accelerator }}
    # So that the autoscaler knows what a node of this group would have before there is one.
    labels: {ray.io/accelerator-type: {{ . | quote }}}
    {{- end }}
    template:
      metadata:
        labels: {{- include "swarm.selector" (list $root $component) | nindent 10 }}
      spec:
        automountServiceAccountToken: false
        enableServiceLinks: false
        securityContext: {{- include "swarm.podSecurity" $root | nindent 10 }}
        {{- with $root.Values.image.pullSecrets }}
        imagePullSecrets: {{- range . }}
          - name: {{ . }}
          {{- end }}
        {{- end }}
        {{- with $group.nodeSelector }}
        nodeSelector: {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- with $group.tolerations }}
        tolerations: {{- toYaml . | nindent 10 }}
        {{- end }}
        containers:
          - name: ray-worker
            image: {{ include "swarm.image" (list $root (gt (int $group.gpus) 0)) }}
            imagePullPolicy: {{ $root.Values.image.pullPolicy }}
            securityContext: {{- include "swarm.containerSecurity" $root | nindent 14 }}
            resources: {{- include "swarm.resources" $group | nindent 14 }}
            env: {{- include "swarm.environment" $root | nindent 14 }}
            ports:
              - {name: metrics, containerPort: 8080}
              {{- if not $hasRuns }}
              - {name: serve, containerPort: 8000}
              {{- end }}
            volumeMounts:
              - {name: home, mountPath: /home/ray}
              - {name: scratch, mountPath: /tmp}
        volumes:
          - {name: home, emptyDir: {sizeLimit: {{ ternary $root.Values.scratch.hubCacheSize "2Gi" (gt (int $group.gpus) 0) }}}}
          - {name: scratch, emptyDir: {sizeLimit: {{ $root.Values.scratch.size }}}}
{{- end }}
{{- end -}}
