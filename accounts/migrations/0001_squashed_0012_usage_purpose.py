"""What the migrations up to 0012_usage_purpose leave, in one: an empty database takes these, an older one goes on with them."""

import accounts.lib.ids
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [
        ('accounts', '0001_initial'),
        ('accounts', '0002_sessions_and_audit'),
        ('accounts', '0003_plans_and_usage'),
        ('accounts', '0004_view_dashboard'),
        ('accounts', '0005_plan_rules'),
        ('accounts', '0006_roles_invitations_erasure'),
        ('accounts', '0007_shared_quotas'),
        ('accounts', '0008_audit_search'),
        ('accounts', '0009_usage_by_conversation'),
        ('accounts', '0010_user_search'),
        ('accounts', '0011_approval_and_security_events'),
        ('accounts', '0012_usage_purpose'),
    ]

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='Plan',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80, unique=True)),
                ('time_zone', models.CharField(default='UTC', help_text='For example Europe/Berlin. Days begin at midnight in this zone.', max_length=64)),
                ('is_default', models.BooleanField(default=False, help_text='Applies to users without a plan of their own.', verbose_name='default')),
                ('audio_days', models.PositiveIntegerField(default=0, help_text='0: audio is not kept.', validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(36500)], verbose_name='audio retention (days)')),
                ('retention_days', models.PositiveIntegerField(blank=True, help_text='Conversations without activity for this long are deleted. If empty, they are kept.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(36500)], verbose_name='conversation retention (days)')),
                ('temporary_hours', models.PositiveIntegerField(blank=True, help_text="If empty, the deployment's setting applies.", null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(876000)], verbose_name='temporary conversation retention (hours)')),
                ('trash_days', models.PositiveIntegerField(blank=True, help_text='How long a deleted conversation can be restored. If empty, the setting KEEP_DELETED_DAYS applies.', null=True, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(36500)], verbose_name='trash retention (days)')),
                ('unwatched_runs', models.CharField(blank=True, choices=[('continue', 'continue'), ('stop', 'stop after the grace period')], help_text='What happens to an answer that nobody has open. If empty, the setting UNWATCHED_RUNS applies.', max_length=8, verbose_name='unwatched answers')),
                ('quota_offered', models.BooleanField(db_default=False, default=False, editable=False)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('is_default', True)), fields=('is_default',), name='plan_one_default'), models.CheckConstraint(condition=models.Q(('unwatched_runs__in', ['', 'continue', 'stop'])), name='plan_unwatched_known'), models.CheckConstraint(condition=models.Q(models.Q(('retention_days', None), ('retention_days__range', (1, 36500)), _connector='OR'), models.Q(('trash_days', None), ('trash_days__range', (0, 36500)), _connector='OR'), models.Q(('temporary_hours', None), ('temporary_hours__range', (1, 876000)), _connector='OR'), ('audio_days__range', (0, 36500))), name='plan_days_sane')],
            },
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('email', models.EmailField(max_length=254, unique=True, verbose_name='email address')),
                ('name', models.CharField(blank=True, max_length=120)),
                ('is_active', models.BooleanField(default=True, help_text='Disable the account instead of deleting it. Ends all sessions.', verbose_name='active')),
                ('is_staff', models.BooleanField(default=False, help_text='Can log in to the admin.', verbose_name='staff')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
                ('plan', models.ForeignKey(blank=True, db_index=False, help_text='If empty, the default plan applies.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='users', to='accounts.plan')),
                ('erase_at', models.DateTimeField(editable=False, null=True, verbose_name='erased at')),
                ('was_active', models.BooleanField(db_default=True, editable=False)),
                ('awaits_approval', models.BooleanField(db_default=False, default=False, editable=False)),
            ],
            options={
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Lower('email'), name='user_email_ci_unique')],
                'indexes': [models.Index(condition=models.Q(('erase_at__isnull', False)), fields=['erase_at'], name='user_erased_next'), models.Index(condition=models.Q(('is_staff', True)), fields=['-id'], name='user_staff'), models.Index(condition=models.Q(('is_active', False)), fields=['-id'], name='user_switched_off'), models.Index(fields=['plan', '-id'], name='user_by_plan'), models.Index(condition=models.Q(('awaits_approval', True)), fields=['-id'], name='user_awaits_approval')],
                'permissions': (('view_dashboard', 'Can view the dashboard'), ('disable_user', 'Can disable and enable accounts'), ('approve_user', 'Can approve accounts that wait for approval'), ('end_sessions', "Can end users' sessions"), ('top_up', 'Can top up and reset quotas'), ('assign_plan', "Can change a user's plan"), ('assign_roles', 'Can give staff access and roles that have no more permissions than oneself'), ('invite_user', 'Can invite users'), ('export_user', 'Can export all data of a user, including messages'), ('erase_user', 'Can erase users'), ('export_lists', 'Can export lists'), ('import_lists', 'Can import lists of objects that one may change')),
            },
        ),
        migrations.CreateModel(
            name='Session',
            fields=[
                ('session_key', models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name='session key')),
                ('session_data', models.TextField(verbose_name='session data')),
                ('expire_date', models.DateTimeField(db_index=True, verbose_name='expire date')),
                ('hash', models.CharField(editable=False, max_length=32, unique=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('last_seen_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('ip', models.GenericIPAddressField(editable=False, null=True)),
                ('user_agent', models.CharField(blank=True, editable=False, max_length=200)),
                ('user', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='sessions', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'session',
                'verbose_name_plural': 'sessions',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('actor_email', models.EmailField(help_text='Email address of the actor at that time.', max_length=254)),
                ('verb', models.CharField(max_length=40)),
                ('object_type', models.CharField(help_text='app.model', max_length=60)),
                ('object_id', models.CharField(max_length=64)),
                ('conversation_id', models.UUIDField(db_index=True, null=True)),
                ('ip', models.GenericIPAddressField(null=True)),
                ('actor', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('details', models.CharField(blank=True, db_default='', default='', help_text='More about the action. Never message text.', max_length=500)),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'indexes': [models.Index(fields=['actor', '-id'], name='audit_by_actor'), models.Index(fields=['verb', '-id'], name='audit_by_verb'), models.Index(fields=['object_type', '-id'], name='audit_by_type'), models.Index(fields=['object_id', '-id'], name='audit_by_object')],
            },
        ),
        migrations.CreateModel(
            name='Price',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('endpoint', models.CharField(blank=True, help_text='Host of the endpoint, and its port where two servers of one machine have prices of their own. If empty, the price applies to every endpoint.', max_length=200)),
                ('model', models.CharField(blank=True, help_text='If empty, the price applies to every model.', max_length=200)),
                ('valid_from', models.DateTimeField(default=django.utils.timezone.now)),
                ('input_per_million', models.DecimalField(decimal_places=9, max_digits=24, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(1000000000000)], verbose_name='per million input tokens')),
                ('cached_per_million', models.DecimalField(blank=True, decimal_places=9, help_text='If empty, the price of other input applies.', max_digits=24, null=True, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(1000000000000)], verbose_name='per million cached input tokens')),
                ('output_per_million', models.DecimalField(decimal_places=9, max_digits=24, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(1000000000000)], verbose_name='per million output tokens')),
                ('audio_per_minute', models.DecimalField(decimal_places=9, default=0, max_digits=24, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(1000000000000)], verbose_name='per minute of audio')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('model', 'endpoint', 'valid_from'), name='price_once'), models.CheckConstraint(condition=models.Q(('audio_per_minute__range', (0, 1000000000000)), ('input_per_million__range', (0, 1000000000000)), ('output_per_million__range', (0, 1000000000000)), models.Q(('cached_per_million', None), ('cached_per_million__range', (0, 1000000000000)), _connector='OR')), name='price_sane')],
            },
        ),
        migrations.CreateModel(
            name='Quota',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model', models.CharField(blank=True, help_text='If empty, the quota counts all models together.', max_length=200)),
                ('unit', models.CharField(choices=[('messages', 'Messages'), ('input_tokens', 'Input Tokens'), ('output_tokens', 'Output Tokens'), ('money', 'Money'), ('audio_seconds', 'Audio Seconds')], default='messages', max_length=16)),
                ('period', models.CharField(choices=[('hour', 'Hour'), ('day', 'Day'), ('week', 'Week'), ('month', 'Month'), ('fixed', 'Fixed')], default='day', max_length=8)),
                ('limit', models.DecimalField(decimal_places=9, max_digits=24, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(1000000000000)])),
                ('hard', models.BooleanField(default=True, help_text='A hard quota refuses requests beyond the limit. A soft one only warns.')),
                ('starts_at', models.DateTimeField(default=django.utils.timezone.now, help_text='Start of a fixed period.')),
                ('group', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='quotas', to='auth.group')),
                ('plan', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='quotas', to='accounts.plan')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='quotas', to=settings.AUTH_USER_MODEL)),
                ('shared', models.BooleanField(db_default=False, default=False, help_text='On: the group shares one allowance, in addition to personal quotas. Off: each member gets this quota.')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('group', None), ('plan__isnull', False), ('user', None)), models.Q(('group__isnull', False), ('plan', None), ('user', None)), models.Q(('group', None), ('plan', None), ('user__isnull', False)), _connector='OR'), name='quota_of_one', violation_error_message='Choose exactly one of plan, group and user.'), models.CheckConstraint(condition=models.Q(('limit__gte', 0), ('limit__lte', 1000000000000)), name='quota_limit_sane'), models.CheckConstraint(condition=models.Q(('unit__in', ['messages', 'input_tokens', 'output_tokens', 'money', 'audio_seconds'])), name='quota_unit_known'), models.CheckConstraint(condition=models.Q(('period__in', ['hour', 'day', 'week', 'month', 'fixed'])), name='quota_period_known'), models.UniqueConstraint(condition=models.Q(('plan__isnull', False)), fields=('plan', 'model', 'unit', 'period'), name='quota_once_per_plan', violation_error_message='This quota already exists. Change that one instead.'), models.UniqueConstraint(condition=models.Q(('user__isnull', False)), fields=('user', 'model', 'unit', 'period'), name='quota_once_per_user', violation_error_message='This quota already exists. Change that one instead.'), models.CheckConstraint(condition=models.Q(('shared', False), ('group__isnull', False), _connector='OR'), name='quota_shared_by_group', violation_error_message='Only a group can share a quota.'), models.UniqueConstraint(condition=models.Q(('group__isnull', False)), fields=('group', 'model', 'unit', 'period', 'shared'), name='quota_once_per_group', violation_error_message='This quota already exists. Change that one instead.')],
            },
        ),
        migrations.CreateModel(
            name='Allowance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField(null=True)),
                ('used', models.DecimalField(decimal_places=9, default=0, max_digits=24)),
                ('reserved', models.DecimalField(decimal_places=9, default=0, help_text='Reserved by answers in progress.', max_digits=24)),
                ('extra', models.DecimalField(decimal_places=9, default=0, help_text='Added by top-ups.', max_digits=24)),
                ('user', models.ForeignKey(help_text='Empty for the shared quota of a group.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='allowances', to=settings.AUTH_USER_MODEL)),
                ('quota', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='allowances', to='accounts.quota')),
            ],
            options={
                'indexes': [models.Index(fields=['user', 'ends_at'], name='allowance_running')],
                'constraints': [models.CheckConstraint(condition=models.Q(('extra__gte', 0), ('reserved__gte', 0), ('used__gte', 0)), name='allowance_sane'), models.UniqueConstraint(fields=('user', 'quota', 'starts_at'), name='allowance_once', nulls_distinct=False)],
            },
        ),
        migrations.CreateModel(
            name='Reservation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('run_id', models.UUIDField(null=True)),
                ('amount', models.DecimalField(decimal_places=9, max_digits=24)),
                ('allowance', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reservations', to='accounts.allowance')),
                ('recording_id', models.UUIDField(null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('run_id', 'allowance'), name='reservation_once'), models.CheckConstraint(condition=models.Q(('amount__gte', 0)), name='reservation_sane'), models.UniqueConstraint(fields=('recording_id', 'allowance'), name='reservation_once_recording'), models.CheckConstraint(condition=models.Q(models.Q(('recording_id__isnull', False), ('run_id', None)), models.Q(('recording_id', None), ('run_id__isnull', False)), _connector='OR'), name='reservation_of_one')],
            },
        ),
        migrations.CreateModel(
            name='TopUp',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('amount', models.DecimalField(decimal_places=9, max_digits=24, validators=[django.core.validators.MinValueValidator(Decimal('1E-9')), django.core.validators.MaxValueValidator(1000000000000)])),
                ('is_reset', models.BooleanField(default=False, editable=False)),
                ('reason', models.CharField(blank=True, max_length=200)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('allowance', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.allowance')),
                ('by', models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('quota', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='top_ups', to='accounts.quota')),
                ('user', models.ForeignKey(blank=True, help_text='Empty for a shared quota.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='top_ups', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('amount__lte', 1000000000000)), name='top_up_sane')],
            },
        ),
        migrations.CreateModel(
            name='UsageEntry',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('at', models.DateTimeField(help_text='When the answer was requested. It counts in that period.')),
                ('run_id', models.UUIDField(null=True, unique=True)),
                ('recording_id', models.UUIDField(null=True, unique=True)),
                ('model', models.CharField(max_length=200)),
                ('endpoint', models.CharField(blank=True, max_length=200)),
                ('messages', models.PositiveSmallIntegerField(default=0)),
                ('input_tokens', models.PositiveBigIntegerField(default=0)),
                ('cached_tokens', models.PositiveBigIntegerField(default=0, help_text='Included in the input tokens.')),
                ('output_tokens', models.PositiveBigIntegerField(default=0)),
                ('reasoning_tokens', models.PositiveBigIntegerField(default=0, help_text='Included in the output tokens.')),
                ('audio_seconds', models.DecimalField(decimal_places=9, default=0, max_digits=24)),
                ('cost', models.DecimalField(decimal_places=9, help_text='Empty if the model had no price.', max_digits=24, null=True)),
                ('estimated', models.BooleanField(default=False, help_text='The provider did not report usage. The numbers are estimates.')),
                ('user', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('groups', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), db_default=[], default=list, help_text='Ids of the groups that the user was in at that time.', size=None)),
                ('conversation_id', models.UUIDField(null=True)),
                ('purpose', models.CharField(blank=True, db_default='', default='', help_text='What it was for, such as a summary. Empty: an answer or a recording.', max_length=16)),
            ],
            options={
                'verbose_name_plural': 'usage entries',
                'indexes': [models.Index(fields=['user', '-at'], name='usage_by_user'), models.Index(fields=['-at'], name='usage_newest'), models.Index(condition=models.Q(('conversation_id__isnull', False)), fields=['conversation_id'], name='usage_by_conversation')],
            },
        ),
        migrations.CreateModel(
            name='DailyUsage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('model', models.CharField(max_length=200)),
                ('endpoint', models.CharField(blank=True, max_length=200)),
                ('messages', models.PositiveBigIntegerField(default=0)),
                ('input_tokens', models.PositiveBigIntegerField(default=0)),
                ('cached_tokens', models.PositiveBigIntegerField(default=0)),
                ('output_tokens', models.PositiveBigIntegerField(default=0)),
                ('reasoning_tokens', models.PositiveBigIntegerField(default=0)),
                ('audio_seconds', models.DecimalField(decimal_places=9, default=0, max_digits=24)),
                ('cost', models.DecimalField(decimal_places=9, default=0, max_digits=24)),
                ('unpriced', models.PositiveBigIntegerField(default=0)),
                ('estimated', models.PositiveBigIntegerField(default=0)),
                ('user', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name_plural': 'daily usage',
                'indexes': [models.Index(fields=['user', '-day'], name='daily_by_user')],
                'constraints': [models.UniqueConstraint(fields=('day', 'user', 'model', 'endpoint'), name='daily_once', nulls_distinct=False)],
            },
        ),
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.UUIDField(default=accounts.lib.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('email', models.EmailField(max_length=254, verbose_name='email address')),
                ('token_hash', models.CharField(editable=False, max_length=64, unique=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('expires_at', models.DateTimeField(editable=False)),
                ('mailed_at', models.DateTimeField(editable=False, null=True)),
                ('accepted_at', models.DateTimeField(editable=False, null=True)),
                ('revoked_at', models.DateTimeField(editable=False, null=True)),
                ('accepted_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('plan', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.plan')),
                ('role', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='auth.group')),
            ],
            options={
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Lower('email'), condition=models.Q(('accepted_at', None), ('revoked_at', None)), name='invitation_one_open')],
            },
        ),
        # Append-only, whatever asks: the admin, a shell, a query by hand.
        migrations.RunSQL(
            sql="""
                CREATE FUNCTION accounts_auditentry_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    RAISE EXCEPTION 'audit entries are append-only' USING ERRCODE = 'restrict_violation';
                END $$;
                CREATE TRIGGER accounts_auditentry_append_only BEFORE UPDATE OR DELETE ON accounts_auditentry
                    FOR EACH ROW EXECUTE FUNCTION accounts_auditentry_refuse();
            """,
            reverse_sql="""
                DROP TRIGGER accounts_auditentry_append_only ON accounts_auditentry;
                DROP FUNCTION accounts_auditentry_refuse();
            """,
        ),
        # PostgreSQL's own calendar makes the periods, so a zone that it does not know never gets in.
        migrations.RunSQL(
            sql="""
                ALTER TABLE accounts_plan ADD CONSTRAINT plan_time_zone_known
                    CHECK (timezone(time_zone, timestamptz '2000-01-01 00:00Z') IS NOT NULL);
                INSERT INTO accounts_plan (name, time_zone, is_default, audio_days, unwatched_runs)
                    VALUES ('Default', 'UTC', true, 0, '');
            """,
            reverse_sql='ALTER TABLE accounts_plan DROP CONSTRAINT plan_time_zone_known',
        ),
        # Append-only, whatever asks.
        migrations.RunSQL(
            sql="""
                CREATE FUNCTION accounts_usageentry_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    RAISE EXCEPTION 'usage entries are append-only' USING ERRCODE = 'restrict_violation';
                END $$;
                CREATE TRIGGER accounts_usageentry_append_only BEFORE UPDATE OR DELETE ON accounts_usageentry
                    FOR EACH ROW EXECUTE FUNCTION accounts_usageentry_refuse();
            """,
            reverse_sql="""
                DROP TRIGGER accounts_usageentry_append_only ON accounts_usageentry;
                DROP FUNCTION accounts_usageentry_refuse();
            """,
        ),
        # Words of an entry, so that a search reads few of a million; accounts/admin/audit.py asks in the same terms.
        migrations.RunSQL(
            sql="""
                CREATE INDEX audit_words ON accounts_auditentry USING gin (to_tsvector('simple',
                    translate(actor_email || ' ' || verb || ' ' || object_type || ' ' || details,
                    '@._-/=&?', '        ')))
            """,
            reverse_sql='DROP INDEX audit_words',
        ),
        # Words of an address and a name; accounts/lib/text_search.py asks in the same terms.
        migrations.RunSQL(
            sql="""
                CREATE INDEX user_words ON accounts_user USING gin (to_tsvector('simple',
                    translate(email || ' ' || name, '@._-/=&?', '        ')))
            """,
            reverse_sql='DROP INDEX user_words',
        ),
    ]
