import { render } from "preact";
import "./style/tokens.css";
import "./style/base.css";
import "./style/app.css";
import "./style/people.css";
import "./style/incoming.css";
import "./style/call.css";
import { App } from "./app";
import { begin, client } from "./state";
import { language, setLanguage } from "./strings";

declare global {
  interface Window {
    sotto: typeof client;
  }
}

window.sotto = client;
setLanguage(language.value);
begin();
const root = document.getElementById("app");
if (root) render(<App />, root);
