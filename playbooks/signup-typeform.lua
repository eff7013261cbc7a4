-- A customer signs up on our Typeform: their instance is set up.
--
-- Comes     from Typeform itself, as a webhook of the form: POST /hooks/typeform, signed with TYPEFORM_SECRET. While
--           that is replaced, the one before it is TYPEFORM_SECRET_BEFORE.
-- Tell      Typeform, in the form's Connect > Webhooks: the endpoint https://HOST/hooks/typeform, and the secret. The
--           questions have the references ("Block reference" in the editor) that site.lua names.
-- Runs      setup, with the answers to the questions that site.lua names.
-- Again     a submission is known by its token: it makes one run, also where the Zap brings it too (signup-zapier). One
--           that is not submitted yet (form_response_partial) is nothing for us.
local signup = require "signup"

return webhook {
    summary = "Sign-ups from our Typeform",
    path = "typeform",
    group = "signup",
    from = webhook.typeform { secret "TYPEFORM_SECRET", secret("TYPEFORM_SECRET_BEFORE", { optional = true }) },
    key = function(delivery)
        if delivery.json.event_type == "form_response_partial" then
            return nil
        end
        local response = delivery.json.form_response or fail "this is no response to a form"
        return response.token or fail "the response to the form has no token"
    end,
    run = function(delivery)
        return "setup", signup.arguments(signup.answers(delivery.json.form_response.answers))
    end,
}
