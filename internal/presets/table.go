package presets

import "github.com/exeunt/exeunt"

// all returns the presets. Each setting's name is the one that the app's documentation, or its source, has.
func all() []Preset {
	return []Preset{
		{
			Name: "argocd", App: "Argo CD",
			recipe: recipe{
				reach: "It ends by itself within `token_life`, five minutes unless you change it: its session is its ID token, and it is refused a new one.",
				stays: "tokens that Argo CD has made for its projects and accounts, and what its command line holds, until that token expires.",
			},
			client: exeunt.Client{
				RedirectURIs: []string{"{url}/auth/callback"}, NoPKCE: true,
				PostLogoutURIs: []string{"{url}", "{url}/"},
			},
			where: "In the ConfigMap argocd-cm, under data",
			settings: `
url: {url}
oidc.config: |
  name: Exeunt
  issuer: {issuer}
  clientID: {client_id}
  clientSecret: {client_secret}
  cliClientID: {client_id}-cli
  requestedScopes: ["openid", "profile", "email", "groups", "offline_access"]
  refreshTokenThreshold: 1m
  logoutURL: {issuer}/end_session?id_token_hint={{token}}&post_logout_redirect_uri={{logoutRedirectURL}}
`,
			notes: []string{
				"Its command line needs a client of its own:\n\n" +
					"  exeunt clients add {client_id}-cli --name 'Argo CD (command line)' --auth none \\\n" +
					"    --redirect-uri http://localhost:8085/auth/callback --home {url}/",
				"Its session lasts as long as its ID token. A version without refreshTokenThreshold asks people to sign in\n" +
					"again each time; a longer --token-life makes that rarer, and a sign-out here reaches it later.",
			},
		},
		{
			Name: "gitea", App: "Gitea",
			recipe: recipe{
				reach: "Through OpenID Connect it **cannot be told**: it takes no logout tokens, and keeps its own session until that ends. People read so before they sign out, with a link to it.",
				stays: "access tokens, SSH keys and app passwords, which are Gitea's own.",
				site:  "Behind Exeunt its pages close at once. Set `[service] ENABLE_REVERSE_PROXY_AUTHENTICATION = true` and `[security] REVERSE_PROXY_AUTHENTICATION_USER = Remote-User`, and let only the proxy reach it. Git over HTTP and its API then need `open` paths, whose own tokens a sign-out does not reach.",
			},
			client: exeunt.Client{
				RedirectURIs: []string{"{url}/user/oauth2/exeunt/callback"}, NoPKCE: true,
				PostLogoutURIs: []string{"{url}/"},
			},
			where: "On Gitea's server, as its user",
			settings: `
gitea admin auth add-oauth --name exeunt --provider openidConnect \
  --key {client_id} --secret {client_secret} \
  --auto-discover-url {issuer}/.well-known/openid-configuration \
  --scopes 'openid profile email groups' --group-claim-name groups
`,
			notes: []string{"Gitea cannot be told of a sign-out here: it keeps its own session until that ends."},
		},
		{
			Name: "grafana", App: "Grafana",
			recipe: recipe{
				reach: "It ends by itself within `token_life`, five minutes unless you change it: when Grafana is refused a new token it ends its session. With the connector it also ends at once when everything of somebody ends.",
				stays: "service accounts and their tokens, and API keys.",
				site:  "With `auth.proxy` (`GF_AUTH_PROXY_ENABLED=true`, `GF_AUTH_PROXY_HEADER_NAME=Remote-User`, `GF_AUTH_PROXY_WHITELIST` with the proxy's address, `GF_AUTH_PROXY_ENABLE_LOGIN_TOKEN=false`) instead of OpenID Connect it closes at once, and through `upstream` its live panels, too.",
			},
			client: exeunt.Client{
				RedirectURIs: []string{"{url}/login/generic_oauth"}, PostLogoutURIs: []string{"{url}/login"},
			},
			where: "In the environment of Grafana",
			settings: `
GF_SERVER_ROOT_URL={url}
GF_AUTH_GENERIC_OAUTH_ENABLED=true
GF_AUTH_GENERIC_OAUTH_NAME=Exeunt
GF_AUTH_GENERIC_OAUTH_CLIENT_ID={client_id}
GF_AUTH_GENERIC_OAUTH_CLIENT_SECRET={client_secret}
GF_AUTH_GENERIC_OAUTH_SCOPES=openid profile email groups offline_access
GF_AUTH_GENERIC_OAUTH_AUTH_URL={issuer}/authorize
GF_AUTH_GENERIC_OAUTH_TOKEN_URL={issuer}/oauth/token
GF_AUTH_GENERIC_OAUTH_API_URL={issuer}/oauth/userinfo
GF_AUTH_GENERIC_OAUTH_AUTH_STYLE=InHeader
GF_AUTH_GENERIC_OAUTH_USE_PKCE=true
GF_AUTH_GENERIC_OAUTH_USE_REFRESH_TOKEN=true
GF_AUTH_GENERIC_OAUTH_LOGIN_ATTRIBUTE_PATH=preferred_username
GF_AUTH_GENERIC_OAUTH_NAME_ATTRIBUTE_PATH=name
GF_AUTH_GENERIC_OAUTH_GROUPS_ATTRIBUTE_PATH=groups
GF_AUTH_GENERIC_OAUTH_SIGNOUT_REDIRECT_URL={issuer}/end_session?post_logout_redirect_uri={url_in_query}%2Flogin
`,
			notes: []string{"Grafana ends its session when it is refused a new token, which it asks for when the one that it has\n" +
				"expires: five minutes, or --token-life, after a sign-out here at the latest."},
			what: "To have it end all of somebody's sessions at once when all of theirs end here, add this to the configuration\n" +
				"file of every node. The file that it names has USER:PASSWORD of a Grafana server administrator, who should be\n" +
				"nobody's own account: Grafana signs out anybody but whoever asks.",
			connector: `
[[connectors]]
client = "{client_id}"
secret_file = "/etc/exeunt/grafana-administrator"
headers = ["Authorization: Basic {secret_base64}"]
[[connectors.steps]]
url = "{url}/api/users/lookup?loginOrEmail={handle}"
find = "/id"
[[connectors.steps]]
url = "{url}/api/admin/users/{found}/logout"
`,
		},
		{
			Name: "home-assistant", App: "Home Assistant",
			recipe: recipe{
				reach: "It **cannot be told**: it takes no logout tokens, and keeps its own session until that ends.",
				stays: "its phone apps, and long-lived access tokens. Its phone apps fail behind a sign-in of a proxy, so it is no good site either.",
			},
			client: exeunt.Client{RedirectURIs: []string{"{url}/auth/oidc/callback"}, Auth: exeunt.ClientSecretPost},
			where:  "In configuration.yaml, with the integration hass-oidc-auth",
			settings: `
auth_oidc:
  client_id: {client_id}
  client_secret: {client_secret}
  discovery_url: {issuer}/.well-known/openid-configuration
  display_name: Exeunt
`,
			notes: []string{"Home Assistant cannot be told of a sign-out here: it keeps its own session until that ends."},
		},
		{
			Name: "immich", App: "Immich",
			recipe: recipe{
				reach: "It is **told**, and the page after the sign-out says when it has confirmed: it ends the session that the logout token names, or all of the person's.",
				stays: "API keys and shared links, which are Immich's own.",
			},
			client: exeunt.Client{
				RedirectURIs: []string{"{url}/auth/login", "{url}/user-settings", "{url}/api/oauth/mobile-redirect"},
				Auth:         exeunt.ClientSecretPost, BackchannelURI: "{url}/api/oauth/backchannel-logout",
			},
			where: "In Immich, under Administration > Settings, at OAuth",
			settings: `
Issuer URL                            {issuer}
Client ID                             {client_id}
Client Secret                         {client_secret}
Token Endpoint Auth Method            client_secret_post
Scope                                 openid email profile
ID Token Signed Response Algorithm    RS256
Mobile Redirect URI Override          on
Mobile Redirect URI                   {url}/api/oauth/mobile-redirect
`,
		},
		{
			Name: "jellyfin", App: "Jellyfin",
			recipe: recipe{
				reach: "It **cannot be told** of one sign-out. With the connector, all of the person's devices are removed when everything of theirs ends.",
				stays: "API keys; and without the connector every device, until it is removed there.",
			},
			client: exeunt.Client{
				RedirectURIs: []string{"{url}/sso/OID/redirect/exeunt"}, Auth: exeunt.ClientSecretPost,
			},
			where: "In Jellyfin, under Dashboard > Plugins > SSO-Auth (the plugin jellyfin-plugin-sso)",
			settings: `
Name of the OID Provider        exeunt
OID Endpoint                    {issuer}
OpenID Client ID                {client_id}
OID Secret                      {client_secret}
Enabled                         on
Role Claim                      groups
Request Additional Scopes       groups
Set default username claim      preferred_username
`,
			notes: []string{
				"People sign in at {url}/sso/OID/start/exeunt. Behind a proxy that ends TLS, set Scheme Override to https.",
				"Jellyfin takes no notice of a sign-out here: its devices stay signed in until they are removed there.",
			},
			what: "To have it remove somebody's devices when all of their sessions end here, add this to the configuration file of\n" +
				"every node. The file that it names has an API key of Jellyfin (Dashboard > API Keys). A device that several\n" +
				"people use is signed out for all of them.",
			connector: `
[[connectors]]
client = "{client_id}"
secret_file = "/etc/exeunt/jellyfin-key"
headers = ['Authorization: MediaBrowser Token="{secret}"']
[[connectors.steps]]
url = "{url}/Devices"
list = "/Items"
where = "/LastUserName"
equals = "{handle}"
find = "/Id"
[[connectors.steps]]
method = "DELETE"
url = "{url}/Devices?id={found}"
success = [204, 404]
`,
		},
		{
			Name: "mattermost", App: "Mattermost",
			recipe: recipe{
				reach: "It **cannot be told** of one sign-out. With the connector, all of the person's sessions there end when everything of theirs ends.",
				stays: "personal access tokens, bots and webhooks.",
			},
			client: exeunt.Client{
				RedirectURIs: []string{"{url}/signup/openid/complete"}, Auth: exeunt.ClientSecretPost, NoPKCE: true,
			},
			where: "In the environment of Mattermost, an edition that has OpenID Connect",
			settings: `
MM_SERVICESETTINGS_SITEURL={url}
MM_OPENIDSETTINGS_ENABLE=true
MM_OPENIDSETTINGS_ID={client_id}
MM_OPENIDSETTINGS_SECRET={client_secret}
MM_OPENIDSETTINGS_DISCOVERYENDPOINT={issuer}/.well-known/openid-configuration
MM_OPENIDSETTINGS_SCOPE=profile openid email
MM_OPENIDSETTINGS_BUTTONTEXT=Exeunt
`,
			notes: []string{"Mattermost takes no notice of a sign-out here: it keeps its own session until that ends."},
			what: "To have it end all of somebody's sessions when all of theirs end here, add this to the configuration file of\n" +
				"every node. The file that it names has a personal access token of a Mattermost system administrator. People\n" +
				"are found by their confirmed e-mail address.",
			connector: `
[[connectors]]
client = "{client_id}"
secret_file = "/etc/exeunt/mattermost-token"
headers = ["Authorization: Bearer {secret}"]
[[connectors.steps]]
url = "{url}/api/v4/users/email/{email}"
find = "/id"
[[connectors.steps]]
url = "{url}/api/v4/users/{found}/sessions/revoke/all"
`,
		},
		{
			Name: "miniflux", App: "Miniflux",
			recipe: recipe{
				reach: "Through OpenID Connect it **cannot be told**: it keeps its own session until that ends.",
				stays: "API keys, and the passwords of the Fever and Google Reader interfaces.",
				site:  "Behind Exeunt it closes at once, and the next person never sees the last one's articles: set `AUTH_PROXY_HEADER=Remote-User`, `AUTH_PROXY_USER_CREATION=1` and `TRUSTED_REVERSE_PROXY_NETWORKS` with the proxy's network, and let only the proxy reach it.",
				tried: "version 2.3.5, by OpenID Connect and as a site, with the next person at the same browser (`make apps`)",
			},
			client: exeunt.Client{RedirectURIs: []string{"{url}/oauth2/oidc/callback"}},
			where:  "In the environment of Miniflux",
			settings: `
OAUTH2_PROVIDER=oidc
OAUTH2_OIDC_PROVIDER_NAME=Exeunt
OAUTH2_OIDC_DISCOVERY_ENDPOINT={issuer}
OAUTH2_CLIENT_ID={client_id}
OAUTH2_CLIENT_SECRET={client_secret}
OAUTH2_REDIRECT_URL={url}/oauth2/oidc/callback
OAUTH2_USER_CREATION=1
`,
			notes: []string{"Miniflux cannot be told of a sign-out here: it keeps its own session until that ends."},
		},
		{
			Name: "nextcloud", App: "Nextcloud",
			recipe: recipe{
				reach: "It is **told**, and the page after the sign-out says when it has confirmed: it ends the session that the logout token names.",
				stays: "app passwords, with which its desktop and phone clients sign in: remove them in Nextcloud under Settings > Security.",
			},
			client: exeunt.Client{
				// With and without the web server's rewriting of addresses.
				RedirectURIs: []string{"{url}/apps/user_oidc/code", "{url}/index.php/apps/user_oidc/code"},
				Auth:         exeunt.ClientSecretPost, PostLogoutURIs: []string{"{url}/"},
				BackchannelURI: "{url}/index.php/apps/user_oidc/backchannel-logout/exeunt",
			},
			where: "On Nextcloud's server, as the web server's user",
			settings: `
php occ app:install user_oidc
php occ config:system:set user_oidc default_token_endpoint_auth_method --value=client_secret_post
php occ user_oidc:provider exeunt --clientid={client_id} --clientsecret={client_secret} \
  --discoveryuri={issuer}/.well-known/openid-configuration --scope='openid email profile groups' \
  --postlogouturi={url}/
`,
			notes: []string{"Its app passwords survive a sign-out."},
		},
		{
			Name: "oauth2-proxy", App: "oauth2-proxy",
			recipe: recipe{
				reach: "It ends by itself within `OAUTH2_PROXY_COOKIE_REFRESH`, four minutes here: it is refused a new token, and clears its session.",
				stays: "connections that are open, such as WebSockets, until the app or the proxy closes them. What is behind it may keep a session of its own.",
				site:  "It is not needed in front of an app: a site closes at once, by any of the proxies that it works with.",
				tried: "version 7.15.6, which signs people in, and out when it is refused another token (`make apps`)",
			},
			client: exeunt.Client{RedirectURIs: []string{"{url}/oauth2/callback"}},
			where:  "In the environment of oauth2-proxy",
			settings: `
OAUTH2_PROXY_PROVIDER=oidc
OAUTH2_PROXY_PROVIDER_DISPLAY_NAME=Exeunt
OAUTH2_PROXY_OIDC_ISSUER_URL={issuer}
OAUTH2_PROXY_CLIENT_ID={client_id}
OAUTH2_PROXY_CLIENT_SECRET={client_secret}
OAUTH2_PROXY_REDIRECT_URL={url}/oauth2/callback
OAUTH2_PROXY_SCOPE=openid profile email groups offline_access
OAUTH2_PROXY_CODE_CHALLENGE_METHOD=S256
OAUTH2_PROXY_COOKIE_REFRESH=4m
OAUTH2_PROXY_EMAIL_DOMAINS=*
OAUTH2_PROXY_WHITELIST_DOMAINS={issuer_host}
`,
			notes: []string{
				"It needs a cookie secret of its own, if it has none yet (OAUTH2_PROXY_COOKIE_SECRET):\n\n" +
					"  openssl rand -base64 32 | tr -- '+/' '-_'",
				"It refuses people whose e-mail address is not confirmed here. To take their handle in its place, set\n" +
					"OAUTH2_PROXY_OIDC_EMAIL_CLAIM=preferred_username.",
				"The address that signs out of both: {url}/oauth2/sign_out?rd={issuer_in_query}%2Fend_session",
				"It ends its session when it is refused a new token, which it asks for after OAUTH2_PROXY_COOKIE_REFRESH.\n" +
					"That must be shorter than --token-life.",
			},
		},
		{
			Name: "proxmox", App: "Proxmox VE",
			recipe: recipe{
				reach: "It **cannot be told**: its ticket is valid for two hours and is renewed while the page is open.",
				stays: "API tokens, and consoles that are open.",
			},
			client: exeunt.Client{RedirectURIs: []string{"{url}"}},
			where:  "On a node of Proxmox VE",
			settings: `
pveum realm add exeunt --type openid --issuer-url {issuer} \
  --client-id {client_id} --client-key {client_secret} \
  --username-claim username --autocreate 1 \
  --scopes 'openid email profile groups' --groups-claim groups
`,
			notes: []string{
				"The claim of the user name cannot be changed later. Proxmox VE returns to the address that the browser has\n" +
					"open, so name each that people use, with its port:\n\n" +
					"  exeunt clients set {client_id} --redirect-uri {url} --redirect-uri https://OTHER-NODE:8006",
				"Proxmox VE cannot be told of a sign-out here: it keeps its own session until that ends.",
			},
		},
		{
			Name: "synapse", App: "Matrix",
			recipe: recipe{
				reach: "It is **told**, and the page after the sign-out says when it has confirmed: it ends the devices that were signed in by that session.",
				stays: "access tokens that were made without a sign-in here, and what a client keeps on its device.",
			},
			client: exeunt.Client{
				RedirectURIs: []string{"{url}/_synapse/client/oidc/callback"}, NoPKCE: true,
				BackchannelURI: "{url}/_synapse/client/oidc/backchannel_logout",
			},
			where: "In homeserver.yaml",
			settings: `
oidc_providers:
  - idp_id: exeunt
    idp_name: Exeunt
    discover: true
    issuer: {issuer}
    client_id: {client_id}
    client_secret: {client_secret}
    scopes: ["openid", "profile", "email"]
    backchannel_logout_enabled: true
    user_mapping_provider:
      config:
        localpart_template: "{{ user.preferred_username }}"
        display_name_template: "{{ user.name }}"
`,
		},
		{
			Name: "vaultwarden", App: "Vaultwarden",
			recipe: recipe{
				reach: "It **cannot be told** of one sign-out. With the connector, all of the person's devices are signed out when everything of theirs ends.",
				stays: "a vault that is unlocked on a device without a network, until it locks itself; and personal API keys.",
			},
			client: exeunt.Client{RedirectURIs: []string{"{url}/identity/connect/oidc-signin"}},
			where:  "In the environment of Vaultwarden",
			settings: `
DOMAIN={url}
SSO_ENABLED=true
SSO_AUTHORITY={issuer}
SSO_CLIENT_ID={client_id}
SSO_CLIENT_SECRET={client_secret}
SSO_SCOPES=email profile offline_access
SSO_PKCE=true
`,
			what: "To have it sign all of somebody's devices out when all of their sessions end here, add this to the configuration\n" +
				"file of every node. The file that it names has Vaultwarden's admin token (ADMIN_TOKEN) in clear. People are\n" +
				"found by their confirmed e-mail address. Vaultwarden takes three sign-ins of an administrator at once and then\n" +
				"one in five minutes: others wait, unless ADMIN_RATELIMIT_MAX_BURST is higher.",
			connector: `
[[connectors]]
client = "{client_id}"
secret_file = "/etc/exeunt/vaultwarden-admin-token"
[[connectors.steps]]
method = "POST"
url = "{url}/admin"
headers = ["Content-Type: application/x-www-form-urlencoded"]
body = "token={secret}"
[[connectors.steps]]
url = "{url}/admin/users/by-mail/{email}"
find = "/id"
[[connectors.steps]]
url = "{url}/admin/users/{found}/deauth"
headers = ["Content-Type: application/json"]
body = "{}"
`,
		},
	}
}
