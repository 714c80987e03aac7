# Environment variables that are refused.
{
  key = {
    environment."valid variable name" = [
      ""
      "1A"
      "A-B"
      "A=B"
    ];
    "wrapper.extraEnvironment"."valid variable name" = [ "A-B" ];
  };

  value = {
    environment."newline" = {
      LINES = "a\nb";
      RETURN = "a\rb";
    };
    "wrapper.extraEnvironment"."newline".LINES = "a\nb";
  };
}
