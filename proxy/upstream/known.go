package upstream

// knownHosts is where a registry's tokens and content come from besides itself.
type knownHosts struct {
	registry          string
	tokens, redirects []string
}

// known are registries whose further hosts are published, or can be seen in their answers. An entry for another
// registry belongs into the configuration.
//
//   - Docker Hub: docs.docker.com, "Allowlist for Docker Desktop" (auth.docker.io, production.cloudflare.docker.com,
//     docker-images-prod.…r2.cloudflarestorage.com); token realm in the registry's challenge.
//   - GitHub: docs.github.com, "Communication requirements": pkg-containers.githubusercontent.com.
//   - Quay and Red Hat: OpenShift's documentation, "Configuring your firewall": cdn.quay.io, cdn01–06.quay.io, sso.redhat.com.
//   - Google: registry.k8s.io's own README (it redirects to Artifact Registry and to regional buckets);
//     cloud.google.com, "Artifact Registry: VPC" for storage.googleapis.com.
//   - Microsoft: learn.microsoft.com, "Configure rules to access an Azure container registry behind a firewall": data end
//     points and blob storage; github.com/microsoft/containerregistry, "client firewall rules": *.data.mcr.microsoft.com.
//   - Amazon: docs.aws.amazon.com, "Amazon ECR interface VPC endpoints" (prod-<region>-starport-layer-bucket); the public
//     gallery's CloudFront hosts are in its answers.
//   - GitLab: docs.gitlab.com, "Container registry: authentication" for gitlab.com/jwt/auth.
func known() []knownHosts {
	const googleStorage = "storage.googleapis.com"
	return []knownHosts{
		{
			registry: "registry-1.docker.io", tokens: []string{"auth.docker.io"},
			redirects: []string{"production.cloudflare.docker.com", "*.r2.cloudflarestorage.com", "production.cloudfront.docker.com"},
		},
		{registry: "ghcr.io", redirects: []string{"pkg-containers.githubusercontent.com"}},
		{registry: "quay.io", redirects: []string{"cdn.quay.io", "cdn0*.quay.io", "quayio-production-s3.s3.amazonaws.com", "quayio-production-s3.s3.us-east-1.amazonaws.com"}},
		{registry: "registry.redhat.io", tokens: []string{"sso.redhat.com"}, redirects: []string{"cdn.quay.io", "cdn0*.quay.io"}},
		{registry: "registry.access.redhat.com", redirects: []string{"cdn.quay.io", "cdn0*.quay.io"}},
		{registry: "*.pkg.dev", redirects: []string{googleStorage}},
		{registry: "gcr.io", redirects: []string{googleStorage}},
		{registry: "*.gcr.io", redirects: []string{googleStorage}},
		{registry: "registry.k8s.io", redirects: []string{"*-docker.pkg.dev", "prod-registry-k8s-io-*.s3.dualstack.*.amazonaws.com", googleStorage}},
		{registry: "mcr.microsoft.com", redirects: []string{"*.data.mcr.microsoft.com"}},
		{registry: "*.azurecr.io", redirects: []string{"*.data.azurecr.io", "*.blob.core.windows.net"}},
		{registry: "public.ecr.aws", redirects: []string{"d5l0dvt14r5h8.cloudfront.net", "d2glxqk2uabbnd.cloudfront.net"}},
		{registry: "*.dkr.ecr.*.amazonaws.com", redirects: []string{"prod-*-starport-layer-bucket.s3.*.amazonaws.com"}},
		{registry: "registry.gitlab.com", tokens: []string{"gitlab.com"}, redirects: []string{"cdn.registry.gitlab-static.net", googleStorage}},
	}
}
