# Texts that are not addresses.
{
  list = {
    "sandbox.denyAddresses"."valid address" = [
      ""
      "example.com"
      "link_local"
      "256.0.0.1"
      "1.2.3"
      "1.2.3.4.5"
      "01.2.3.4"
      "1.2.3.4/33"
      "1.2.3.4/"
      "1.2.3.4/08"
      "1.2.3.4 5.6.7.8"
      "1.2.3.4\n"
      ":"
      ":::"
      "1:2"
      "1:2:3:4:5:6:7:8:9"
      "1::2::3"
      "1:2:3:4:5:6:7::8"
      "::1:"
      ":1::2"
      "12345::"
      "g::"
      "fe80::1%eth0"
      "::1/129"
      "::ffff:1.2.3.4"
    ];
    "sandbox.allowAddresses"."valid address" = [ "example.com" ];
  };
}
