# The accounts that the configuration makes.
{ lib }:
{
  # The one of users.users with this name, or null: an attribute may be called otherwise than its account.
  named = users: name: lib.findFirst (user: user.name == name) null (lib.attrValues users);
}
