-- A customer signs up, and a Zap tells us: their instance is set up.
--
-- Comes     from Zapier, "Webhooks by Zapier": POST /hooks/zapier, as JSON, form or XML, with the header
--           "Authorization: Bearer" and ZAPIER_TOKEN.
-- Tell      Zapier, in the action POST: the URL https://HOST/hooks/zapier, the payload type json, that header, and as
--           data full_name, email, subdomain (the names of site.lua) and token, each with its field of the form.
-- Runs      setup, with what the Zap maps: the answers under the names that site.lua gives the questions, and the
--           form's token as "token".
-- Again     a submission is known by its token: it makes one run, also where Typeform sends it too (signup-typeform).
local signup = require "signup"
local site = require "site"

return webhook {
    summary = "Sign-ups that a Zap passes on",
    path = "zapier",
    group = "signup",
    from = webhook.bearer { secret "ZAPIER_TOKEN", secret("ZAPIER_TOKEN_BEFORE", { optional = true }) },
    key = function(delivery)
        return delivery.fields[site.signup.token] or fail "the Zap passes on no token"
    end,
    run = function(delivery)
        return "setup", signup.arguments(delivery.fields)
    end,
}
