import { t } from "../strings";

/** What a list looks like before its rows are there. */
export function Skeleton() {
  return (
    <ul class="rows" aria-busy="true" aria-label={t().loading}>
      {[0, 1, 2].map((n) => (
        <li key={n} class="row skeleton">
          <span class="bone bone-round" />
          <span class="bone bone-line" />
        </li>
      ))}
    </ul>
  );
}

/** A list that could not be loaded, and the way to try again. */
export function LoadFailed({ retry }: { retry: () => void }) {
  return (
    <div class="empty" role="alert">
      <p>{t().loadFailed}</p>
      <button type="button" class="button" onClick={retry}>
        {t().retry}
      </button>
    </div>
  );
}
