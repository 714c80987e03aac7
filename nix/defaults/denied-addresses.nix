# Link-local addresses, and addresses that hand out a machine's credentials to anyone who asks.
[
  # Link-local, which includes the metadata services of most clouds.
  "169.254.0.0/16"
  "fe80::/10"
  # AWS: instance metadata, EKS pod identity.
  "fd00:ec2::254/128"
  "fd00:ec2::23/128"
  # Google.
  "fd20:ce::254/128"
  # Oracle, Oracle Classic.
  "fd00:c1::a9fe:a9fe/128"
  "192.0.0.192/32"
  # Alibaba.
  "100.100.100.200/32"
  "fd00:100::100:200/128"
  # Azure.
  "168.63.129.16/32"
  # Scaleway.
  "fd00:42::42/128"
  # Akamai.
  "fd00:a9fe:a9fe::1/128"
]
