import { useRef, useState } from "preact/hooks";
import type { TargetedEvent } from "preact/compat";
import { SottoError } from "@sotto/sdk";
import { client } from "../state";
import { t } from "../strings";
import { EyeIcon, EyeOffIcon, Mark } from "../ui/icons";

type Errors = Record<string, string>;

export function AuthPage() {
  const [registering, setRegistering] = useState(false);
  const [errors, setErrors] = useState<Errors>({});
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const prefix = registering ? "register" : "login";

  const submit = async (event: TargetedEvent<HTMLFormElement, SubmitEvent>): Promise<void> => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const raw = (name: string): string => {
      const entry = data.get(name);
      return typeof entry === "string" ? entry : "";
    };
    const value = (name: string): string => raw(name).trim();
    const password = raw("password");
    const found = check(registering, value, password);
    setErrors(found);
    if (Object.keys(found).length > 0) {
      focusFirst(form.current, found);
      return;
    }
    setBusy(true);
    try {
      if (registering) {
        await client.register({
          username: value("username"),
          email: value("email"),
          password,
          ...(value("displayName") ? { displayName: value("displayName") } : {}),
        });
      } else {
        await client.login({ login: value("username"), password });
      }
    } catch (error) {
      const shown = explain(error, registering);
      setErrors(shown);
      focusFirst(form.current, shown);
    } finally {
      setBusy(false);
    }
  };

  return (
    <main class="auth">
      <div class="card auth-card">
        <header class="auth-head">
          <Mark />
          <h1>{t().app}</h1>
          <p>{t().tagline}</p>
        </header>
        <form ref={form} noValidate onSubmit={(event) => void submit(event)}>
          {errors.form && (
            <p class="form-error" role="alert" data-testid={`${prefix}-error`}>
              {errors.form}
            </p>
          )}
          <Field
            name="username"
            testId={`${prefix}-username`}
            label={registering ? t().userName : t().userNameOrMail}
            hint={registering ? t().userNameHint : undefined}
            error={errors.username}
            autocomplete="username"
          />
          {registering && (
            <>
              <Field
                name="email"
                type="email"
                testId="register-email"
                label={t().mail}
                error={errors.email}
                autocomplete="email"
              />
              <Field
                name="displayName"
                testId="register-displayname"
                label={`${t().displayName} (${t().optional})`}
                error={errors.displayName}
                autocomplete="name"
              />
            </>
          )}
          <PasswordField
            testId={`${prefix}-password`}
            hint={registering ? t().passwordHint : undefined}
            error={errors.password}
            autocomplete={registering ? "new-password" : "current-password"}
          />
          <button
            type="submit"
            class="button primary wide"
            disabled={busy}
            data-testid={`${prefix}-submit`}
          >
            {submitLabel(registering, busy)}
          </button>
        </form>
        <button
          type="button"
          class="link-button auth-switch"
          data-testid={registering ? "to-login" : "to-register"}
          onClick={() => {
            setRegistering(!registering);
            setErrors({});
          }}
        >
          {registering ? t().toSignIn : t().toRegister}
        </button>
      </div>
    </main>
  );
}

interface FieldProps {
  name: string;
  testId: string;
  label: string;
  autocomplete: string;
  type?: string;
  hint?: string | undefined;
  error?: string | undefined;
}

function Field({ name, testId, label, autocomplete, type = "text", hint, error }: FieldProps) {
  return (
    <div class="field">
      <label for={`f-${name}`}>{label}</label>
      <input
        id={`f-${name}`}
        name={name}
        type={type}
        data-testid={testId}
        autocomplete={autocomplete}
        autocapitalize="none"
        spellcheck={false}
        aria-invalid={error ? "true" : undefined}
        aria-describedby={error || hint ? `d-${name}` : undefined}
      />
      <Below name={name} error={error} hint={hint} />
    </div>
  );
}

function PasswordField(props: Omit<FieldProps, "name" | "label" | "type">) {
  const [shown, setShown] = useState(false);
  return (
    <div class="field">
      <label for="f-password">{t().password}</label>
      <div class="field-with-button">
        <input
          id="f-password"
          name="password"
          type={shown ? "text" : "password"}
          data-testid={props.testId}
          autocomplete={props.autocomplete}
          aria-invalid={props.error ? "true" : undefined}
          aria-describedby={props.error || props.hint ? "d-password" : undefined}
        />
        <button
          type="button"
          class="icon-button"
          aria-label={shown ? t().hidePassword : t().showPassword}
          aria-pressed={shown}
          onClick={() => {
            setShown(!shown);
          }}
        >
          {shown ? <EyeOffIcon /> : <EyeIcon />}
        </button>
      </div>
      <Below name="password" error={props.error} hint={props.hint} />
    </div>
  );
}

function Below({ name, error, hint }: Pick<FieldProps, "name" | "error" | "hint">) {
  if (!error && !hint) return null;
  return (
    <p id={`d-${name}`} class={error ? "field-error" : "field-hint"}>
      {error ?? hint}
    </p>
  );
}

function submitLabel(registering: boolean, busy: boolean): string {
  if (registering) return busy ? t().registering : t().register;
  return busy ? t().signingIn : t().signIn;
}

function check(registering: boolean, value: (name: string) => string, password: string): Errors {
  const found: Errors = {};
  const words = t().errors;
  if (!value("username")) found.username = words.required;
  if (!password) found.password = words.required;
  if (!registering) return found;
  if (value("username") && !/^[\w.-]{3,32}$/.test(value("username"))) {
    found.username = words.badUserName;
  }
  if (password && [...password].length < 8) found.password = words.shortPassword;
  if (!/^[^\s@]+@[^\s@]+$/.test(value("email"))) {
    found.email = value("email") ? words.badMail : words.required;
  }
  return found;
}

/** The server's refusal as words beside the field it is about, or above the form. */
function explain(error: unknown, registering: boolean): Errors {
  const words = t().errors;
  if (!(error instanceof SottoError)) return { form: words.other };
  const fields: Errors = {};
  for (const { field, message } of error.fields) {
    const shown = ["username", "email", "displayName"].includes(field) ? field : "password";
    fields[shown] = error.status === 409 ? words.taken : (inWords(shown) ?? message);
  }
  if (Object.keys(fields).length > 0) return fields;
  if (error.code === "network" || error.status >= 500) return { form: words.network };
  if (error.status === 401) return { form: words.unauthorized };
  if (error.status === 429) return { form: words.rate_limited };
  if (error.status === 409 && registering) return { form: words.conflict };
  return { form: error.message || words.other };
}

/** The server's word on a field is for programs, and English: ours says how to put it right. */
function inWords(field: string): string | undefined {
  const words = t().errors;
  const byField: Record<string, string> = {
    username: words.badUserName,
    email: words.badMail,
    displayName: words.badDisplayName,
    password: words.badPassword,
  };
  return byField[field];
}

function focusFirst(form: HTMLFormElement | null, errors: Errors): void {
  const first = ["username", "email", "displayName", "password"].find((name) => errors[name]);
  form?.querySelector<HTMLInputElement>(`[name="${first ?? "username"}"]`)?.focus();
}
