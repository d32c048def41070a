# kube_env SERVICE ENVIRONMENT: let kubectl and helm look at this service with the account that only reads.
kube_env() {
    if [ $# -ne 2 ]; then
        echo "Usage: kube_env SERVICE ENVIRONMENT" >&2
        return 2
    fi
    if [ ! -e "$KUBECONFIG_DIR/$1-$2.config" ]; then
        echo "Could not find a configuration for $1/$2" >&2
        return 1
    fi
    if [ ! -r "$KUBECONFIG_DIR/$1-$2.config" ]; then
        echo "You don't have permission to read the configuration for $1/$2 (try sudo)" >&2
        return 1
    fi
    KUBECONFIG="$KUBECONFIG_DIR/$1-$2.config"
    K8S_CLUSTER="$2"
    export KUBECONFIG K8S_CLUSTER
}
